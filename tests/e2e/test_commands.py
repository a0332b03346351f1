"""The `zsad` command as a user meets it: a journey, an interruption, and what the driver holds."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.plain_check import main as plain_check
from zsad_core.benchmarks.drawn import draw_mvtec, draw_sample


def zsad(*arguments, module=None, timeout=300):
    """Run `zsad ...`, or `python -m jobs.<module> ...`; returns (exit status, standard output, standard error)."""
    command = (
        [sys.executable, "-m", f"jobs.{module}"] if module else [os.path.join(os.path.dirname(sys.executable), "zsad")]
    )
    done = subprocess.run(
        [*command, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=timeout
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    draw_mvtec(str(folder), ["grid", "pill"], normal=4, anomalous=4, size=96)
    return folder


@pytest.fixture(scope="module")
def shards(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    status, out, err = zsad("pack", "--layout", "mvtec", "--name", "drawn", source, folder, "--shard-size", "4")
    assert status == 0, err
    assert out.startswith("drawn: 8 normal and 8 anomalous images; categories: 2, shards: 4 (")
    assert out.endswith(f"MB) in {folder}/drawn\n")
    return folder


OPTIONS = ["--samples", "1", "--image-size", "64"]


@pytest.fixture(scope="module")
def finished(shards, tmp_path_factory):
    """An undisturbed run: its folder, standard output and standard error."""
    run = tmp_path_factory.mktemp("finished") / "run"
    status, out, err = zsad("evaluate", shards, run, *OPTIONS)
    assert status == 0, err
    return run, out, err


@pytest.mark.slow
def test_evaluate_and_reduce(finished):
    run, out, err = finished
    assert "untrained weights: the figures of this run mean nothing" in err
    assert re.search(r"predict: 16 of 16 images, [\d.]+ images/s, .* in all", err)
    assert out.rstrip().endswith(f"tables: {run}/metrics/table.md, table.csv, results.json")
    assert plain_check(str(run)) == 0

    tables = {name: (run / "metrics" / name).read_bytes() for name in ("table.md", "table.csv", "results.json")}
    for name in tables:
        (run / "metrics" / name).unlink()
    status, again, _ = zsad(run, module="reduce")
    assert status == 0 and again == out
    assert {name: (run / "metrics" / name).read_bytes() for name in tables} == tables


@pytest.mark.slow
def test_an_interrupted_run_goes_on_and_ends_with_the_same_tables(shards, finished, tmp_path):
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
    assert contents(run) == contents(finished[0])


def contents(run):
    paths = [path for part in ("predictions", "metrics") for path in (run / part).rglob("*") if path.is_file()]
    return {str(path.relative_to(run)): path.read_bytes() for path in paths}


DRIVER = """
import re, sys
from jobs.cli import main
status = main(sys.argv[1:])
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1)
print("driver", status, int(peak) // 1024, "torch" in sys.modules)
"""


@pytest.mark.slow
def test_the_driver_stays_small(tmp_path):
    """Packing and evaluating 2,000 images: under 400 MB and no torch in the driver."""
    from PIL import Image

    for number in range(2000):
        path = tmp_path / "images" / "pill" / "test" / ("good" if number % 2 else "crack") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels, mask = draw_sample("pill", None if number % 2 else "crack", number % 20, 48, seed=number // 20)
        Image.fromarray(pixels).save(path)
        if not number % 2:
            target = tmp_path / "images" / "pill" / "ground_truth" / "crack" / f"{number}_mask.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(target)
    for arguments in (
        ["pack", "--layout", "mvtec", "--name", "drawn", tmp_path / "images", tmp_path / "shards"],
        [
            "evaluate",
            tmp_path / "shards",
            tmp_path / "run",
            "--samples",
            "1",
            "--image-size",
            "48",
            "--batch-size",
            "32",
        ],
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
    assert rows[1].startswith("drawn,category,pill,,2000,1000,0,0,0,")
