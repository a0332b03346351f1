"""Made-up runs as `zsad reduce` leaves them: random values and influences, for the tests of leaderboards."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.predictions import partition_uri
from tests.made_up_results import IMAGE, PIXEL, SETTINGS

GROUPS = {"image": IMAGE, "image_plain": IMAGE, "pixel": PIXEL}
COUNTS = {"left_out": 0, "unlabelled": 0, "pixel_left_out": 0}


def cell(rng):
    value = round(float(rng.uniform(0.6, 0.95)), 6)
    return {"value": value, "low": value - 0.05, "high": value + 0.04}


def level_of(group):
    return "pixel" if group == "pixel" else "image"


def write_run(folder, benchmarks, seed=0, domain="industrial", base=0, salt="", drop=(), **settings):
    """A run by the contract of `zsad reduce`; its values follow from `base` and the seed.

    `benchmarks`: name -> (levels, {category: (normal, anomalous)}). `salt` changes the images' content; images whose
    place in their category is in `drop` could not be scored.
    """
    results = {"run": SETTINGS | {"seed": seed} | settings, "benchmarks": {}}
    for name, (levels, categories) in benchmarks.items():
        rng = np.random.default_rng([base, seed, len(name)])
        of_benchmark, rows = {}, []
        for category, (normal, anomalous) in categories.items():
            labels = [0] * normal + [1] * anomalous
            groups = {
                group: {metric: cell(rng) for metric in metrics} if level_of(group) in levels else None
                for group, metrics in GROUPS.items()
            }
            if 0 in (normal, anomalous):
                groups |= {
                    g: {m: {"value": None, "low": None, "high": None} for m in GROUPS[g]}
                    for g in ("image", "image_plain")
                    if groups[g]
                }
            of_benchmark[category] = {
                "images": len(labels),
                "anomalous": anomalous,
                **COUNTS,
                "left_out": len(drop),
                "expected": None,
                **groups,
                "defects": {"crack": {"images": 2, **groups}} if anomalous > 2 else {},
            }
            for i, label in enumerate(labels):
                row = {
                    "key": f"{category}/{i}",
                    "sha256": f"{salt}{category}{i}",
                    "category": category,
                    "defect": "crack" * label,
                    "label": label,
                }
                for group, metrics in groups.items():
                    for metric, facts in (metrics or {}).items():
                        moved = float(rng.normal(0, 0.4))
                        row[f"{group}_{metric}"] = None if facts["value"] is None or i in drop else moved
                rows.append(row)
        mean = {
            group: {metric: mean_of(of_benchmark, group, metric) for metric in metrics}
            if level_of(group) in levels
            else None
            for group, metrics in GROUPS.items()
        }
        results["benchmarks"][name] = {
            "domain": domain, "levels": list(levels), "auxiliary": "VisA", "variant": None, "checkpoint": "VisA",
            "categories": of_benchmark, "mean": mean,
        }  # fmt: skip
        columns = [f"{group}_{metric}" for group, metrics in GROUPS.items() if mean[group] for metric in metrics]
        texts = [(key, pa.string()) for key in ("key", "sha256", "category", "defect")]
        schema = pa.schema([*texts, ("label", pa.int8()), *((name, pa.float64()) for name in columns)])
        path = partition_uri(str(folder / "metrics" / "influence"), name, "images")
        (folder / "metrics" / "influence" / path.split("/")[-2]).mkdir(parents=True, exist_ok=True)
        np.random.default_rng(seed).shuffle(rows)  # the order of the rows tells nothing
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    (folder / "metrics").mkdir(parents=True, exist_ok=True)
    (folder / "metrics" / "results.json").write_text(json.dumps(results))
    return str(folder)


def mean_of(categories, group, metric):
    values = [each[group][metric]["value"] for each in categories.values() if each[group][metric]["value"] is not None]
    if not values:
        return {"value": None, "low": None, "high": None, "categories": 0}
    value = math.fsum(values) / len(values)
    return {"value": value, "low": value - 0.02, "high": value + 0.02, "categories": len(values)}


def change_results(run, change):
    results = read_results(run)
    change(results)
    Path(run, "metrics", "results.json").write_text(json.dumps(results))


def read_results(run):
    return json.loads(Path(run, "metrics", "results.json").read_text())


def influence_of(run, benchmark, column):
    """{category: {label: influence by key}} as plain pyarrow reads it."""
    rows = pq.read_table(partition_uri(f"{run}/metrics/influence", benchmark, "images")).to_pylist()
    found = {}
    for row in sorted(rows, key=lambda row: row["key"]):
        if row[column] is not None:
            found.setdefault(row["category"], {}).setdefault(row["label"], []).append(row[column])
    return {category: {label: np.array(values) for label, values in of.items()} for category, of in found.items()}


def variance_and_freedom(strata):
    """Of a sum over strata of means of influence, with Satterthwaite's degrees of freedom."""
    parts = [np.var(values, ddof=1) / len(values) for values in strata]
    total = sum(parts)
    return total, total**2 / sum(part**2 / (len(values) - 1) for part, values in zip(parts, strata))


LINE = ("image", "pixel"), {"wood": (6, 5), "nut": (4, 7), "only normal": (5, 0)}
HEAD = ("image",), {"head ct": (5, 8)}


def of(board, benchmark):
    return next(each for each in board["benchmarks"] if each["name"] == benchmark)
