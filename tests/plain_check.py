"""Recomputes a run's metrics from its prediction files with pandas, pyarrow, scikit-learn and scipy alone.

    python tests/plain_check.py RUN      compares with RUN/metrics/results.json, exit status 1 beyond 1e-9

It imports nothing of the package it checks, and works by the definitions: every pixel, one global sort, no counts.
"""

import argparse
import json
import sys
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import ndimage
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

TOLERANCE = 1e-9


def tables_from_files(run_path):
    """{benchmark: {"categories": {category: {...}}, "mean": {...}}} as in results.json, from the prediction files."""
    run_path = Path(run_path)
    run = json.loads((run_path / "run.json").read_text())
    folders = {}
    for folder in (run_path / "predictions").iterdir():
        folders[unquote(folder.name.removeprefix("benchmark="))] = folder
    rule = run["settings"].get("image_score", "fused")
    assert rule in ("fused", "text"), rule
    return {name: _benchmark(folders[name], benchmark, rule) for name, benchmark in run["benchmarks"].items()}


def _benchmark(folder, benchmark, rule):
    frames = []
    for file in benchmark["files"]:
        with open(folder / file["name"], "rb") as opened:
            frame = pq.read_table(opened).to_pandas()
        assert len(frame) == file["rows"], f"{file['name']}: {len(frame)} rows"
        frames.append(frame)
    rows = pd.concat(frames, ignore_index=True)
    categories = {
        name: _category(rows[rows["category"] == name], benchmark["levels"], rule) for name in benchmark["categories"]
    }
    mean = {}
    for group in ("image", "image_plain", "pixel"):
        results = [result[group] for result in categories.values() if result[group] is not None]
        frame = pd.DataFrame(results, dtype=float)
        mean[group] = {
            metric: {"value": _number(frame[metric].mean()), "categories": int(frame[metric].count())}
            for metric in frame
        } or None
    return {"categories": categories, "mean": mean}


def _category(rows, levels, rule):
    """The metrics of a category, and of each of its kinds of defect against all its normal images."""
    scored = rows[rows["error"].isna()]
    labelled = scored["label"].notna()
    result = {
        "images": len(rows),
        "anomalous": int((rows["label"] == 1).sum()),
        "left_out": int(rows["error"].notna().sum()),
        "unlabelled": int(rows["label"].isna().sum()),
        "pixel_left_out": int((labelled & scored["mask"].isna()).sum()) if "pixel" in levels else 0,
        "image": None,
        "image_plain": None,
        "pixel": None,
    }
    kinds = sorted(set(rows["defect"][rows["label"] == 1]))
    members = {kind: (rows["label"] == 0) | ((rows["label"] == 1) & (rows["defect"] == kind)) for kind in kinds}
    if len(kinds) < 2:
        members = {}
    defects = {
        kind: {"images": int((chosen & (rows["label"] == 1)).sum()), "image": None, "image_plain": None, "pixel": None}
        for kind, chosen in members.items()
    }
    if "image" in levels:
        published = scored["score_text"]
        if rule == "fused" and "pixel" in levels:
            published = 0.5 * _minmax(scored["score_text"]) + 0.5 * _minmax(scored["score_map"])
        labels = scored["label"][labelled].astype(int)
        result["image"] = _classification(labels, published[labelled])
        result["image_plain"] = _classification(labels, scored["score"][labelled])
        for kind, chosen in members.items():
            some = labelled & chosen[scored.index]
            for group, scores in (("image", published), ("image_plain", scored["score"])):
                defects[kind][group] = _classification(scored["label"][some].astype(int), scores[some])
    if "pixel" in levels:
        known = scored[scored["mask"].notna()]
        result["pixel"] = _pixel(known)
        for kind, chosen in members.items():
            defects[kind]["pixel"] = _pixel(known[chosen[known.index]])
    return result | {"defects": defects}


def _minmax(values):
    return (values - values.min()) / (values.max() - values.min() + 1e-8)


def _classification(labels, scores):
    labels, scores = np.asarray(labels), np.asarray(scores)
    if len(np.unique(labels)) < 2:
        return {"auroc": None, "ap": None, "f1_max": None}
    precision, recall, _ = precision_recall_curve(labels, scores)
    with np.errstate(invalid="ignore"):
        f1 = 2 * precision * recall / (precision + recall)
    return {
        "auroc": float(roc_auc_score(labels, scores)),
        "ap": float(average_precision_score(labels, scores)),
        "f1_max": float(np.nanmax(f1)),
    }


def _pixel(rows):
    codes, weights, regions = [], [], 0
    for row in rows.itertuples():
        shape = row.map_height, row.map_width
        content = pa.Codec("zstd").decompress(row.anomaly_map, decompressed_size=2 * shape[0] * shape[1])
        low, high = np.frombuffer(content, "u1").reshape(2, *shape).astype("u2")
        sums = low + 256 * high - 128
        for axis in (0, 0, 1, 1):
            sums = sums.cumsum(axis, dtype="u2")
        codes.append(sums.ravel())
        mask = np.unpackbits(np.frombuffer(row.mask, np.uint8))[: shape[0] * shape[1]].reshape(shape)
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        area = np.bincount(labels.ravel())
        weights.append(np.where(labels > 0, 1 / np.maximum(area, 1)[labels], 0).ravel())
        regions += count
    if not codes:
        return dict.fromkeys(["auroc", "ap", "f1_max", "aupro", "aupro_200"])
    codes, weights = np.concatenate(codes), np.concatenate(weights)
    return {
        **_classification(weights > 0, codes / 65535),
        "aupro": _aupro(codes, weights, regions),
        "aupro_200": _aupro_200(codes, weights, regions),
    }


def _aupro(codes, weights, regions):
    """Every distinct value a threshold; 8-connected regions; FPR to 0.3, end point interpolated, divided by 0.3."""
    normal = weights == 0
    if not regions or not normal.any():
        return None
    order = np.argsort(codes)[::-1]
    last_of_value = np.append(np.diff(codes[order].astype(int)) != 0, True)
    fpr = np.append(0, np.cumsum(normal[order])[last_of_value] / normal.sum())
    pro = np.append(0, np.cumsum(weights[order])[last_of_value] / regions)
    after = np.argmax(fpr >= 0.3)
    slope = (pro[after] - pro[after - 1]) / (fpr[after] - fpr[after - 1])
    end = pro[after - 1] + slope * (0.3 - fpr[after - 1])
    return float(np.trapezoid(np.append(pro[:after], end), np.append(fpr[:after], 0.3)) / 0.3)


def _aupro_200(codes, weights, regions):
    """Thresholds min + i (max - min)/200, value > threshold; FPR below 0.3, rescaled min-max, trapezoid."""
    normal = weights == 0
    if not regions or not normal.any():
        return None
    low, high = int(codes.min()), int(codes.max())
    normal_codes, hit_codes, hit_weights = codes[normal], codes[~normal], weights[~normal]
    fpr, pro = [], []
    for i in range(200):
        threshold = (200 * low + i * (high - low)) // 200  # codes are whole: above the floor is above the threshold
        fpr.append((normal_codes > threshold).mean())
        pro.append(hit_weights[hit_codes > threshold].sum() / regions)
    fpr, pro = np.array(fpr), np.array(pro)
    fpr, pro = fpr[fpr < 0.3], pro[fpr < 0.3]
    if not len(fpr) or fpr.max() == fpr.min():
        return None
    return float(abs(np.trapezoid(pro, (fpr - fpr.min()) / (fpr.max() - fpr.min()))))


def _number(value):
    return None if pd.isna(value) else float(value)


def differences(expected, found, path=""):
    """(path, expected, found) wherever two results differ by more than the tolerance or in what is defined."""
    if isinstance(found, dict) and not isinstance(expected, dict):
        found = found.get("value")
    if isinstance(expected, dict):
        if not isinstance(found, dict):
            return [(path, expected, found)]
        return [item for key in expected for item in differences(expected[key], found.get(key), f"{path}/{key}")]
    if expected is None or found is None:
        return [] if expected is found else [(path, expected, found)]
    return [] if abs(expected - found) <= TOLERANCE else [(path, expected, found)]


def _count(expected):
    return sum(map(_count, expected.values())) if isinstance(expected, dict) else 1


def main(run_path):
    if not (Path(run_path) / "metrics" / "results.json").is_file():
        print(f"{run_path}: no run with tables there (no metrics/results.json)")
        return 2
    results = json.loads((Path(run_path) / "metrics" / "results.json").read_text())["benchmarks"]
    expected = tables_from_files(run_path)
    wrong = differences(expected, results) + [(f"/{name}", None, "extra") for name in set(results) - set(expected)]
    for path, plain, found in wrong:
        print(f"{path}: {plain} by plain pandas and scikit-learn, {found} in results.json")
    said = f"{len(wrong)} differ" if wrong else f"all equal to {TOLERANCE}"
    print(f"{run_path}: {len(expected)} benchmarks, {_count(expected)} values, {said}")
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN")
    sys.exit(main(parser.parse_args().run))
