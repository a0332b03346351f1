"""A run with its shards for the tests of reports: smooth images and maps, hostile names, rows of every kind."""

import hashlib
import json

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines import shards, storage
from pipelines.predictions import PREDICTION_SCHEMA, prediction_uri, write_predictions
from tests.made_up_results import SETTINGS
from tests.pictures import encoded
from zsad_core.map_codec import encode, pack_mask, quantise

H, W = 30, 24  # of maps
HOSTILE = "</script><script>document.title='hacked'</script>/'\\' \U0001f9ea `${1}` é%20&lt;img src=x onerror=alert(1)>"
SHAPES = [(90, 60), (48, 64), (40, 200)]  # (height, width) of images


def row_of(rng, key, category, label, score, **changes):
    """A row of predictions with its `image`; the map has its peak at a place of its own."""
    height, width = SHAPES[rng.integers(len(SHAPES))]
    down, right = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    colours = np.stack([255 * down, 255 * right, np.full_like(down, rng.integers(50, 200))], axis=2)
    image = encoded(colours.astype(np.uint8))
    y, x = np.mgrid[0 : 1 : H * 1j, 0 : 1 : W * 1j]
    peak = score * np.exp(-8 * ((y - rng.uniform()) ** 2 + (x - rng.uniform()) ** 2))
    codes, spread = quantise(peak.clip(0, 1)), quantise((peak / 10).clip(0, 1))
    mask = np.zeros((H, W), bool)
    mask[5:12, 4:15] = label == 1
    return {
        "key": key,
        "category": category,
        "defect": {0: "good", 1: "scratch", None: "unknown"}[label],
        "prompt": category,
        "label": label,
        "sha256": hashlib.sha256(image).hexdigest(),
        "score_text": score,
        "score_map": score,
        "score": score,
        "score_std": float(rng.uniform(0, 0.1)),
        "anomaly_map": encode(codes),
        "anomaly_map_std": encode(spread),
        "map_height": H,
        "map_width": W,
        "mask": None if label is None else pack_mask(mask),
        "height": height,
        "width": width,
        "image": image,
        "codes": codes,
        "truth": mask if label == 1 else None,
        **changes,
    }


def failed(row, error):
    nothing = ("score", "score_text", "score_map", "score_std", "anomaly_map", "anomaly_map_std", "mask")
    return row | dict.fromkeys(nothing) | {"error": error}


def made_up_rows(seed=0, count=30):
    """Benchmark -> rows; `count` of each of the three categories, one row of them not scored, one key hostile."""
    rng = np.random.default_rng(seed)
    found = {"parts": [], "our line/3": []}
    for benchmark, category, labels in (
        ("parts", "nut", (0, 1)),
        ("parts", "bolt", (0, None)),
        ("our line/3", "b>", (None,)),
    ):
        for number in range(count):
            label = labels[number % len(labels)]
            score = float(rng.uniform(0.1, 0.7) + 0.2 * (label == 1))
            found[benchmark].append(row_of(rng, f"{category}/cam/{number:03d}.png", category, label, score))
    found["parts"][3] = failed(found["parts"][3], "truncated <b>image</b>")
    found["parts"][4]["key"] = HOSTILE
    found["parts"].sort(key=lambda row: row["key"])
    return found


def write_files(folder, benchmark, parts, shards_root=None):
    """A prediction file of the rows of each part, and their shards where a root is given."""
    entries = []
    for number, part in enumerate(parts):
        name = f"test-{number:05d}.parquet"
        table = pa.Table.from_pylist(
            [{name: row.get(name) for name in PREDICTION_SCHEMA.names} for row in part], schema=PREDICTION_SCHEMA
        )
        write_predictions(prediction_uri(str(folder), benchmark, name), table, "made up")
        if shards_root:
            known = [{each: row.get(each) for each in shards.SHARD_SCHEMA.names} for row in part]
            known = [row | {"benchmark": benchmark, "split": "test", "mask": None} for row in known]
            entries.append(shards.write_shard(str(shards_root / benchmark / name), known))
    if shards_root:
        storage.write_json(str(shards_root / benchmark / "manifest.json"), {"benchmark": benchmark, "files": entries})


def write_run(folder, found, shards_root=None, per_file=20, settings=SETTINGS):
    """run.json without a list of benchmarks, as that of an archive, prediction files, and shards where a root is
    given."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"settings": settings, "shards": str(shards_root), "versions": {}, "command": []}
    (folder / "run.json").write_text(json.dumps(facts))
    for benchmark, rows in found.items():
        parts = [rows[start : start + per_file] for start in range(0, len(rows), per_file)]
        write_files(folder, benchmark, parts, shards_root)


def frame_of(run):
    """All rows of a run by plain pandas, sorted as its files are."""
    files = sorted(run.glob("predictions/*/*.parquet"))
    return pd.concat([pd.read_parquet(file, partitioning=None) for file in files], ignore_index=True)
