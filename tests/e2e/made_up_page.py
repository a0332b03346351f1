"""A small made-up leaderboard for the page's tests: a case of everything, with names that try to be more than names."""

import base64

import numpy as np
from PIL import Image

from pipelines.tables import COLUMNS
from zsad_core import heat_maps

HOSTILE = "<img src=x onerror=\"document.title='hit'\"> </script> __proto__ 'é' &amp;"
ELSEWHERE = "beta on a backbone with quite a long name, ViT-L-14-336:openai"
RUNS = ["alpha", ELSEWHERE, "untrained one", HOSTILE]
PUBLISHED = {"Paper A": "first-hand", "Paper B": "second-hand", "Paper C": "re-run"}
BENCHMARKS = {
    "MVTec-AD": ("industrial", ["image", "pixel"], ["bottle", HOSTILE, "grid"]),
    "VisA": ("industrial", ["image", "pixel"], ["candle", "pcb1"]),
    "HeadCT": ("medical", ["image"], ["head ct"]),
    "ISIC": ("medical", ["pixel"], ["skin"]),
    "constructor": ("own", ["image", "pixel"], ["toString"]),
}
REMARK = "2 images could not be scored, left out"


def figures(rng, levels, extra=None):
    groups = {"image": None, "image_plain": None, "pixel": None}
    for column in COLUMNS:
        if ("pixel" if column.group == "pixel" else "image") in levels:
            value = float(rng.uniform(0.6, 0.95))
            figure = {"value": value, "low": value - 0.05, "high": value + 0.03, **(extra or {})}
            groups[column.group] = {**(groups[column.group] or {}), column.metric: figure}
    return groups


def make_board():
    rng = np.random.default_rng(0)
    mean = {"categories": 1, "spread": 0.004, "runs": 3}
    mean["published"] = {
        "value": 0.9,
        "status": "first-hand",
        "source": "its paper",
        "difference": -0.0123,
        "same_test_set": True,
    }
    benchmarks, comparisons = [], []
    for name, (domain, levels, categories) in BENCHMARKS.items():
        cells = {}
        for run in RUNS:
            results = {
                category: {
                    "images": 9,
                    "anomalous": 4,
                    **figures(rng, levels),
                    "defects": {kind: {"images": 2, **figures(rng, levels)} for kind in ("crack", HOSTILE)},
                }
                for category in categories
            }
            remarks = [REMARK] if (name, run) == ("VisA", "alpha") else []
            extra = {**mean, "categories": len(categories)}
            cells[run] = {
                "test_set": "published",
                "images": 9,
                "remarks": remarks,
                "categories": results,
                "mean": figures(rng, levels, extra),
            }
        for method, status in PUBLISHED.items():
            if domain == "industrial" and (method, name) != ("Paper C", "VisA"):
                figure = {"value": float(rng.uniform(0.6, 0.95)), "status": status, "source": f"{method}'s README"}
                cells[method] = {"mean": {"image": {"auroc": figure}}}
        test_set = None if domain == "own" else "published"  # own data has no published test set
        for cell in cells.values():
            cell["test_set"] = test_set
        facts = {"domain": domain, "levels": levels, "expected_images": 9, "test_set": test_set}
        benchmarks.append({"name": name, **facts, "cells": cells})
        pair = {"a": "alpha", "b": HOSTILE, "benchmark": name, "group": "image", "metric": "auroc", "images": 9}
        comparisons.append({**pair, "difference": -0.021, "low": -0.043, "high": 0.001, "p": 0.0612})
    elsewhere = benchmarks[1]["cells"][ELSEWHERE]
    elsewhere["test_set"], elsewhere["remarks"] = None, ["8 of 9 images"]
    for figure in elsewhere["mean"]["image"].values():
        figure["published"] = {**mean["published"], "same_test_set": False}
    overall = {"a": "alpha", "b": ELSEWHERE, "benchmarks": ["MVTec-AD", "HeadCT"], "group": "image", "metric": "auroc"}
    overall |= {"difference": 0.055, "low": 0.01, "high": 0.1, "p": 0.0001, "images": 18}
    why = {"a": "alpha", "b": ELSEWHERE, "benchmark": "VisA", "columns": ["image_auroc"], "why": "not the same images"}
    cells = benchmarks[2]["cells"]
    cells["alpha"]["mean"]["image"]["auroc"] |= {"value": None, "low": None, "high": None, "spread": None}
    entry = {"kind": "run", "method": "bayes-pfl", "made_by": "made so", "seeds": [0, 1, 2], "runs": ["runs/x"]}
    entries = [{**entry, "name": name, "untrained": name == "untrained one"} for name in RUNS]
    entry = {"kind": "published", "made_by": None, "untrained": False, "seeds": [], "runs": []}
    entries += [{**entry, "name": name, "method": name} for name in PUBLISHED]
    columns = [column._asdict() for column in COLUMNS]
    return {
        "entries": entries,
        "columns": columns,
        "benchmarks": benchmarks,
        "comparisons": comparisons,
        "overall_comparisons": [overall],
        "not_compared": [why],
        "published_left_out": [{"benchmark": "KSDD2", "why": "no run covers it"}],
    }


def data_uri(kind, content):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def make_details():
    curve = [[0, 0.1, 1], [0, 0.7, 1]]
    every = {"image_roc": curve, "image_plain_roc": curve, "pixel_roc": None, "pro": [[0, 0.3], [0, 0.8]]}
    curves = {"MVTec-AD": {run: {"bottle": every, HOSTILE: every} for run in RUNS[:3]}}
    picture = data_uri("image/webp", heat_maps.webp(Image.new("RGB", (192, 96), "teal")))
    sample = {"key": f"{HOSTILE}/1.png", "category": HOSTILE, "defect": HOSTILE, "label": 1, "score": 0.25}
    sample |= {"reason": "highest score of the anomalous", "width": 192, "height": 96, "outlined": True}
    samples = [{**sample, "image": picture, "overlay": picture}, {**sample, "image": None, "overlay": picture}]
    maps = {"alpha": {"low": 0.1, "high": 0.5, "note": "One image is missing.", "samples": samples}}
    legend = data_uri("image/png", heat_maps.legend())
    return {"curves": curves, "maps": {"MVTec-AD": maps}, "legend": legend}


BOARD = make_board()
