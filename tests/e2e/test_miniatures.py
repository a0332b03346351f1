"""What a newcomer runs first: all 15 benchmarks, drawn in their owners' layouts, through every command."""

import json
import re

import pandas as pd
import pytest

from tests.e2e.conftest import zsad
from tests.plain_check import main as plain_check

NORMAL_AND_ANOMALOUS = {
    "MVTec-AD": (30, 45),
    "VisA": (24, 36),
    "BTAD": (12, 18),
    "KSDD2": (6, 6),
    "RSDD": (0, 12),
    "DAGM": (14, 28),
    "DTD-Synthetic": (24, 36),
    "HeadCT": (6, 6),
    "BrainMRI": (85, 68),
    "Br35H": (6, 6),
    "ISIC": (0, 10),
    "CVC-ColonDB": (0, 10),
    "CVC-ClinicDB": (0, 10),
    "Endo": (0, 10),
    "Kvasir": (0, 10),
}


@pytest.mark.slow
def test_the_demo_takes_all_benchmarks_from_images_to_a_leaderboard(tmp_path, capsys):
    status, out, err = zsad("demo", tmp_path)
    assert status == 0, err
    assert "no --checkpoint: taking the weights that zsad brings" in err and "untrained" not in err
    assert re.search(r"predict: 518 of 518 images, [\d.]+ images/s, .* in all", err)
    for name, (normal, anomalous) in NORMAL_AND_ANOMALOUS.items():
        assert f"{name}: {normal} normal and {anomalous} anomalous images; categories: " in out
    run, board = tmp_path / "run", tmp_path / "leaderboard"
    assert plain_check(run) == 0, capsys.readouterr().out
    results = json.loads((run / "metrics" / "results.json").read_text())["benchmarks"]
    table = pd.read_csv(run / "metrics" / "table.csv")
    means = table[table["row"] == "mean"].set_index("benchmark")
    assert set(results) == set(means.index) == set(NORMAL_AND_ANOMALOUS)
    for name, (normal, anomalous) in NORMAL_AND_ANOMALOUS.items():
        counts = means.loc[name, ["images", "anomalous", "left_out", "unlabelled", "pixel_left_out"]]
        assert counts.tolist() == [normal + anomalous, anomalous, 0, 0, 0], name
        of_images = "image" in results[name]["levels"] and normal > 0  # one class alone has no AUROC
        assert pd.notna(means.loc[name, "image_auroc"]) == of_images, name
        assert pd.notna(means.loc[name, "pixel_aupro"]) == ("pixel" in results[name]["levels"]), name

    # The shipped model saw none of these materials; untrained weights are at chance.
    assert means["pixel_auroc"].mean() > 0.8 and means["image_auroc"].mean() > 0.65

    ranked = pd.read_csv(board / "leaderboard.csv")
    shown = ranked[(ranked["entry"] == "bayes-pfl") & (ranked["row"] == "mean")].set_index("benchmark")
    for name in NORMAL_AND_ANOMALOUS:
        for column in ("image_auroc", "pixel_aupro"):
            assert shown.loc[name, column] == pytest.approx(means.loc[name, column], nan_ok=True)
    page = (board / "leaderboard.html").read_text()
    assert all(name in page for name in NORMAL_AND_ANOMALOUS) and page.count("data:image/webp;base64,") > 60
    assert "http://" not in page.replace("http://www.w3.org/", "") and "https://" not in page
