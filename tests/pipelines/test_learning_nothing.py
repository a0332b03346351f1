"""Methods that learn nothing are run as others are, without a checkpoint or a word on untrained weights."""

import dataclasses

import pytest

from pipelines import storage
from pipelines.evaluate import evaluate
from pipelines.leaderboard.entries import read_entries
from pipelines.pack import pack
from pipelines.predictions import prediction_uri, read_predictions
from tests.drawn_source import draw_mvtec
from tests.plain_check import differences, tables_from_files
from zsad_core.benchmarks.table import own_benchmark
from zsad_core.errors import UsageError
from zsad_core.settings import ScoringSettings

SETTINGS = ScoringSettings(method="local-contrast", image_size=48)


@pytest.fixture(scope="module")
def packed(without_ray, tmp_path_factory):
    source, folder = (str(tmp_path_factory.mktemp(name)) for name in ("source", "shards"))
    draw_mvtec(source, ["wood"], normal=3, anomalous=3, size=64)
    pack(own_benchmark("drawn"), source, folder)
    return folder


def test_run(packed, tmp_path, capfd):
    run = str(tmp_path / "run")
    results = evaluate(packed, run, SETTINGS, [])
    assert not differences(tables_from_files(run), results["benchmarks"])
    settings = storage.read_json(f"{run}/run.json")["settings"]
    assert settings["image_score"] == "text"
    rows = read_predictions(prediction_uri(run, "drawn", "test-00000-of-00001.parquet")).to_pylist()
    assert len(rows) == 6 and all(row["score"] == row["score_text"] for row in rows)
    assert (settings["backbone"], list(settings["checkpoints"])) == ("none", ["none"])
    facts = read_entries([run])[0].facts()
    assert (facts["name"], facts["untrained"]) == ("local-contrast", False)
    assert facts["made_by"] == "local-contrast, 48 x 48 pixels; it learns nothing."
    said = capfd.readouterr().err
    assert "loading local-contrast\n" in said and "untrained" not in said


def test_run_with_a_backbone(packed, settings, tmp_path):
    run = str(tmp_path / "run")
    chosen = dataclasses.replace(settings, method="clip-ensemble", options={"value-attention": 1.0})
    results = evaluate(packed, run, chosen, [], actors=1)
    assert not differences(tables_from_files(run), results["benchmarks"])
    recorded = storage.read_json(f"{run}/run.json")
    assert (recorded["settings"]["backbone"], list(recorded["settings"]["checkpoints"])) == ("clip.pt", ["none"])
    assert recorded["benchmarks"]["drawn"]["options"] == {"value-attention": 1.0}
    facts = read_entries([run])[0].facts()
    assert facts["made_by"] == (
        "clip-ensemble on clip.pt, 98 x 98 pixels, fp32; it learns nothing. Options: value-attention 1."
    )


@pytest.mark.parametrize(
    ("settings", "checkpoints", "useless"),
    [
        (SETTINGS, ["VisA=a.pth"], "--checkpoint"),
        (dataclasses.replace(SETTINGS, backbone="ViT-B-16:random", compile=True), [], "--backbone and --compile"),
        (ScoringSettings(method="clip-ensemble", backbone="ViT-B-16:random"), ["VisA=a.pth"], "--checkpoint"),
    ],
)
def test_weights_are_refused(packed, tmp_path, settings, checkpoints, useless):
    with pytest.raises(UsageError, match=f"{settings.method} learns nothing.*: leave out {useless}$"):
        evaluate(packed, str(tmp_path / "run"), settings, checkpoints)
    assert not (tmp_path / "run").exists()
