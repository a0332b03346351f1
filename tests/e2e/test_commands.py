"""The `zsad` command as a user meets it: a journey, an interruption, and what the driver holds."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from tests.e2e.conftest import OPTIONS, contents, zsad
from tests.plain_check import main as plain_check
from zsad_core.benchmarks.drawn import draw_sample


@pytest.mark.slow
def test_evaluate(finished):
    run, out, err = finished
    assert re.search(r"predict: 16 of 16 images, [\d.]+ images/s, .* in all", err)
    assert out.rstrip().endswith(f"tables: {run}/metrics/table.md, table.csv, results.json")
    assert plain_check(str(run)) == 0


@pytest.mark.slow
@pytest.mark.fault
def test_an_interrupted_run_goes_on_and_ends_with_the_same_tables(shards, finished, record_fault, tmp_path):
    command = [os.path.join(os.path.dirname(sys.executable), "zsad"), "evaluate", str(shards)]
    run = tmp_path / "run"
    predictions = run / "predictions" / "benchmark=drawn"
    process = subprocess.Popen([*command, str(run), *OPTIONS, "--actors", "1"], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 240
        while not (predictions.is_dir() and list(predictions.glob("*.parquet"))) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    # All four shards may be done by then: the signal has still stopped what came after.
    assert process.returncode == 130 and "interrupted; the same command goes on where this one stopped" in err
    assert "Traceback" not in err
    kept = {path.name: path.stat().st_mtime_ns for path in predictions.glob("*.parquet")}
    assert zsad("evaluate", shards, run, *OPTIONS)[0] == 0
    assert kept.items() <= {path.name: path.stat().st_mtime_ns for path in predictions.glob("*.parquet")}.items()
    record_fault("Ctrl-C (SIGINT) in mid-run, started again", contents(run), contents(finished[0]))


DRIVER = """
import re, sys
from jobs.cli import main
status = main(sys.argv[1:])
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1)
print("driver", status, int(peak) // 1024, "torch" in sys.modules)
"""


@pytest.mark.slow
def test_the_driver_stays_small(tmp_path):
    """Packing and evaluating 1,000 images: under 400 MB and no torch in the driver."""
    drawn = [draw_sample("pill", None if number % 2 else "crack", number, 48, seed=0) for number in range(20)]
    for folder in ("test/good", "test/crack", "ground_truth/crack"):
        (tmp_path / "images" / "pill" / folder).mkdir(parents=True)
    for number in range(1000):
        pixels, mask = drawn[number % 20]
        pixels[0, 0] = number % 256, number // 256, 0  # no two alike
        kind = "good" if number % 2 else "crack"
        Image.fromarray(pixels).save(tmp_path / "images" / "pill" / "test" / kind / f"{number}.png")
        if not number % 2:
            Image.fromarray(mask).save(tmp_path / "images" / "pill" / "ground_truth" / "crack" / f"{number}_mask.png")
    for arguments in (
        ["pack", "--layout", "mvtec", "--name", "drawn", tmp_path / "images", tmp_path / "shards"],
        ["evaluate", tmp_path / "shards", tmp_path / "run", *OPTIONS, "--map-size", "48"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
        )
        status, megabytes, torch_loaded = re.search(r"^driver (\d) (\d+) (\w+)$", done.stdout, re.MULTILINE).groups()
        assert (status, torch_loaded) == ("0", "False"), done.stderr
        assert int(megabytes) < 400
    rows = (tmp_path / "run" / "metrics" / "table.csv").read_text().splitlines()
    assert rows[1].startswith("drawn,category,pill,,1000,500,0,0,0,")
