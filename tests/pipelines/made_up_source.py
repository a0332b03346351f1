"""A sound source of noise in MVTec-AD's layout, its pieces, and what packing makes of it."""

import numpy as np
import pandas as pd

from pipelines.pack import pack
from tests.files import write
from tests.pictures import encoded
from zsad_core.benchmarks.table import own_benchmark

RNG = np.random.default_rng(3)
SWEETS = own_benchmark("sweets")


def photo(height=12, width=16, **options):
    """A PNG file of noise."""
    return encoded(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8), **options)


def mask(height=12, width=16, value=255):
    """A PNG file, black but for a rectangle of the grey `value`."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[2:5, 3:9] = value
    return encoded(pixels)


def cookies(good=3, cracked=2):
    """Path -> content of a sound source in MVTec-AD's layout."""
    files = {f"cookie/test/good/{n:03d}.png": photo() for n in range(good)}
    files |= {f"cookie/test/crack/{n:03d}.png": photo() for n in range(cracked)}
    return files | {f"cookie/ground_truth/crack/{n:03d}_mask.png": mask() for n in range(cracked)}


def packed(folder, files, of=SWEETS, **options):
    """Write the files to <folder>/source and pack them as `of` to <folder>/shards; returns the manifest."""
    return pack(of, write(folder / "source", files), str(folder / "shards"), **options)


def packed_rows(root, name):
    """All rows of a packed benchmark, read by plain pandas, by key."""
    paths = sorted((root / name).glob("*.parquet"))
    frame = pd.concat([pd.read_parquet(path) for path in paths]).astype(object).set_index("key")
    return frame.where(frame.notna(), None)
