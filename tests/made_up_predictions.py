"""A run's folder with made-up predictions, written without a model."""

import itertools
import json

import numpy as np
import pyarrow as pa

from pipelines.predictions import PREDICTION_SCHEMA, made_from, prediction_uri, write_predictions
from tests.made_up_results import SETTINGS
from zsad_core.map_codec import encode, pack_mask

H, W = 24, 21  # of every map


def sample(rng, key, category, label, mask=True, error=None):
    """A row; `mask` False where pixel truth is unknown."""
    truth = np.zeros((H, W), bool)
    if label == 1:
        for _ in range(rng.integers(1, 4)):
            r, c = rng.integers(0, H - 3), rng.integers(0, W - 3)
            truth[r : r + rng.integers(1, 8), c : c + rng.integers(1, 8)] = True
    codes = (rng.integers(0, 40, (H, W)) + 15 * truth).astype(np.uint16) * 1000
    text, highest = rng.uniform(0.2, 0.6, 2) + 0.2 * (label == 1)
    defect = {0: "good", 1: ("spot", "hole")[rng.integers(2)], None: "unknown"}[label]
    row = {"key": key, "category": category, "defect": defect, "prompt": category, "label": label, "sha256": key}
    row |= {"map_height": H, "map_width": W, "mask": pack_mask(truth) if mask else None, "error": error}
    if not error:
        row |= {"score_text": text, "score_map": highest, "score": (text + highest) / 2, "anomaly_map": encode(codes)}
    return row


def write_run(folder, benchmarks, per_file=5, settings=SETTINGS):
    """`benchmarks`: name -> (levels, {category: (expected normal, expected anomalous)}, rows)."""
    run = {"settings": settings, "benchmarks": {}, "versions": {}, "command": ["evaluate"]}
    for name, (levels, categories, rows) in benchmarks.items():
        files = [rows[start : start + per_file] for start in range(0, len(rows), per_file)]
        names = [f"test-{i:05d}-of-{len(files):05d}.parquet" for i in range(len(files))]
        for file, part in zip(names, files):
            table = pa.Table.from_pylist(part, schema=PREDICTION_SCHEMA)
            write_predictions(prediction_uri(str(folder), name, file), table, made_from(settings, file))
        run["benchmarks"][name] = {
            "levels": levels,
            "domain": "industrial",
            "auxiliary": "VisA",
            "categories": {
                category: {
                    "prompt": category,
                    "small_defect": False,
                    "expected_normal": expected[0],
                    "expected_anomalous": expected[1],
                }
                for category, expected in categories.items()
            },
            "files": [{"name": file, "rows": len(part), "sha256": file} for file, part in zip(names, files)],
        }
    (folder / "run.json").write_text(json.dumps(run))
    return run


def made_up_run(folder, settings=SETTINGS):
    rng = np.random.default_rng(7)

    number = itertools.count()

    def rows(category, labels, **more):
        return [sample(rng, f"{category}/{next(number)}", category, label, **more) for label in labels]

    nut = rows("metal_nut", [0, 1] * 7) + rows("metal_nut", [0, 1, None], error="truncated image")
    pipe = rows("a|b", [0] * 4 + [1] * 3) + rows("a|b", [1, None], mask=False)
    mixed = [row for pair in zip(nut, pipe) for row in pair] + nut[len(pipe) :]
    return write_run(
        folder,
        {
            "MVTec-AD": (
                ["image", "pixel"],
                {"metal_nut": (8, 8), "a|b": (4, 5), "only normal": (3, 0), "not there": (2, 2)},
                mixed + rows("only normal", [0] * 3),
            ),
            "HeadCT": (["image"], {"head ct": (6, 6)}, rows("head ct", [0, 1] * 6, mask=False)),
            "CVC-ColonDB": (["pixel"], {"colon": (0, 30)}, rows("colon", [1] * 30)),
            "our line/3": (["image", "pixel"], {"part": (None, None)}, rows("part", [None] * 4, mask=False)),
        },
        settings=settings,
    )
