"""What the driver of a command holds."""

import re
import subprocess
import sys

import pytest
from PIL import Image

from tests.e2e.conftest import OPTIONS
from zsad_core.benchmarks.drawn import draw_sample

DRIVER = """
import re, sys
from jobs.cli import main
folder = sys.argv[1]
status = main(["pack", "--layout", "mvtec", "--name", "drawn", folder + "/images", folder + "/shards"]) or main(
    ["evaluate", folder + "/shards", folder + "/run", *sys.argv[2:]]
)
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
    command = [sys.executable, "-c", DRIVER, str(tmp_path), *OPTIONS, "--map-size", "48"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    status, megabytes, torch_loaded = re.search(r"^driver (\d) (\d+) (\w+)$", done.stdout, re.MULTILINE).groups()
    assert (status, torch_loaded) == ("0", "False"), done.stderr
    assert int(megabytes) < 400
    rows = (tmp_path / "run" / "metrics" / "table.csv").read_text().splitlines()
    assert rows[1].startswith("drawn,category,pill,,1000,500,0,0,0,")
