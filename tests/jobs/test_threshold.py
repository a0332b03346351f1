"""`zsad threshold` and then `zsad regions` in this process: what is printed, exit statuses, wrong calls."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.made_up_predictions import sample, write_run


@pytest.fixture
def run(tmp_path, without_ray):
    rng = np.random.default_rng(4)
    rows = [sample(rng, f"good/{i}", "nut", 0) for i in range(30)]
    rows += [sample(rng, f"new/{i}", "nut", i % 2) for i in range(40)]
    rows += [sample(rng, f"bolt/{i}", "bolt", None) for i in range(10)]
    folder = tmp_path / "run"
    folder.mkdir()
    write_run(folder, {"line": (["image"], {"nut": (None, None), "bolt": (None, None)}, rows)})
    return folder


def test_from_good_images_to_regions(zsad, run):
    status, out, _ = zsad("threshold", run, "--normal", "good/*", "--false-alarms", "0.1")
    lines = out.splitlines()
    assert status == 1 and "- bolt: 0 images known to be good, 9 are needed for 10 %; no cut (--pooled" in out
    assert lines[-1].endswith(f"of 40 images flagged: {run}/thresholds/flagged.csv, thresholds.json")
    status, _, error = zsad("regions", run)
    assert status == 1 and "found too few good images for bolt" in error and not (run / "regions").exists()

    status, out, _ = zsad("threshold", run, "--normal", "good/*", "--false-alarms", "0.1", "--pooled")
    flagged = pd.read_csv(run / "thresholds" / "flagged.csv")
    assert status == 0 and out.splitlines()[-1].startswith(f"{len(flagged)} of 50 images flagged: ")
    status, out, error = zsad("regions", run)
    table = pd.read_parquet(run / "regions")
    assert status == 0 and out == f"{len(table):,} regions in {table['key'].nunique()} of 80 images: {run}/regions\n"
    assert error.count("lengths there are in pixels of the map") == 1
    cut = json.loads((run / "thresholds" / "thresholds.json").read_text())["all"]["map"]["cut"]
    assert set(table["cut"]) == {cut} and (table["peak"] > cut).all()

    status, out, _ = zsad("regions", run, "--cut", "1")
    assert status == 0 and out.startswith("0 regions in 0 of 80 images: ")


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (["threshold", "nowhere"], 2, "--normal"),
        (["threshold", "nowhere", "--normal", "x"], 1, "nowhere: no run there (no run.json)"),
        (
            ["threshold", "nowhere", "--normal", "x", "--false-alarms", "2"],
            2,
            "--false-alarms 2: a share between 0 and 1",
        ),
        (["threshold", "nowhere", "--normal", "x", "--sure", "0"], 2, "--sure 0: a share between 0 and 1"),
        (["regions", "nowhere"], 1, "nowhere: no run there (no run.json)"),
        (["regions", "nowhere", "--cut", "2"], 2, "--cut 2: maps have values from 0 to 1"),
    ],
)
def test_wrong_calls(zsad, arguments, status, message):
    found, _, error = zsad(*arguments)
    assert found == status and message in error
