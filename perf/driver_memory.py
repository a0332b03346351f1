"""Peak memory of the driver while it packs and evaluates ever more images: python perf/driver_memory.py [IMAGES ...]

Prints a Markdown table. The images are noise, 48 x 48: what they show does not matter here.
"""

import os
import re
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

DRIVER = """
import re, sys
from jobs.cli import main
status = main(sys.argv[1:])
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1)
print("driver", status, int(peak) // 1024, "torch" in sys.modules)
"""
SETTINGS = ["--samples", "1", "--image-size", "48", "--batch-size", "32"]


def draw(folder: str, count: int) -> None:
    """`count` images of one category in MVTec layout, every second one anomalous."""
    rng = np.random.default_rng(0)
    for name in ("test/good", "test/spot", "ground_truth/spot"):
        os.makedirs(os.path.join(folder, "noise", name))
    mask = np.zeros((48, 48), np.uint8)
    mask[10:20, 10:20] = 255
    for number in range(count):
        pixels = Image.fromarray(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8))
        kind = "spot" if number % 2 else "good"
        pixels.save(os.path.join(folder, "noise", "test", kind, f"{number}.png"))
        if number % 2:
            Image.fromarray(mask).save(os.path.join(folder, "noise", "ground_truth", kind, f"{number}_mask.png"))


def driver_peak(arguments: list[str]) -> tuple[int, str]:
    """Run a zsad command in a process of its own; its peak in MB and whether torch was loaded in it."""
    done = subprocess.run([sys.executable, "-c", DRIVER, *arguments], capture_output=True, text=True, check=True)
    status, megabytes, torch_loaded = re.search(r"^driver (\d) (\d+) (\w+)$", done.stdout, re.MULTILINE).groups()
    if status != "0":
        sys.exit(done.stderr)
    return int(megabytes), torch_loaded


def main(counts: list[int]) -> None:
    print("| images | pack, MB | evaluate, MB | torch in the driver |\n| ---: | ---: | ---: | --- |")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            images, shards, run = (os.path.join(folder, name) for name in ("images", "shards", "run"))
            draw(images, count)
            packing, _ = driver_peak(["pack", "--layout", "mvtec", "--name", "noise", images, shards])
            evaluating, torch_loaded = driver_peak(["evaluate", shards, run, *SETTINGS])
            print(f"| {count:,} | {packing} | {evaluating} | {'yes' if torch_loaded == 'True' else 'no'} |", flush=True)


if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]] or [250, 1000, 2000, 4000])
