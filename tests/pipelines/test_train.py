"""Shards to a checkpoint: the same bytes twice, after a stop anywhere, and through Ray; refusals and messages."""

import csv
import io
import json
import os
import queue

import pytest
import ray
import torch

from pipelines import train as pipeline
from pipelines.auxiliary import choose_validation, packed
from pipelines.losses import losses_csv, losses_table, read_losses
from pipelines.train import evaluation_targets, train
from pipelines.training_task import Task, carry_out
from tests.hand_packed import rows_of, write_packed
from zsad_core.checkpoints import read_facts
from zsad_core.errors import UsageError, ZsadError
from zsad_core.methods.bayes_pfl import build
from zsad_core.training_settings import TrainingSettings

pytestmark = pytest.mark.usefixtures("torch_restored")

MATERIALS = ("grid", "pill", "wood")
ENDS = {"checkpoint.safetensors", "losses.csv", "losses.svg"}


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    write_packed(folder, "drawn", [row for name in MATERIALS for row in rows_of("drawn", name, 3, 3)])
    write_packed(folder, "target", rows_of("target", "wood", 1, 1))
    write_packed(folder, "BTAD", rows_of("BTAD", "wood", 1, 1), auxiliary="VisA")
    return str(folder)


@pytest.fixture(scope="module")
def settings(bayes_pfl_golden):
    return TrainingSettings(
        backbone=bayes_pfl_golden.backbone, image_size=28, epochs=2, batch_size=5, threads=1, device="cpu"
    )


@pytest.fixture(scope="module")
def facts(settings):
    described = pipeline.describe(settings, "drawn")
    assert described["validates"]
    return {name: described[name] for name in ("activation", "backbone_sha256")}


def run(shards, settings, facts, folder, stop_after=None):
    """Train without Ray; returns what was told. Stop is raised after so many steps."""
    learnt, judged = choose_validation(shards, packed(shards, "drawn"), "held-out")
    told = []

    def tell(kind, value):
        told.append((kind, value))
        if [kind for kind, _ in told].count("advance") == stop_after:
            raise Stop

    carry_out(Task(str(folder), settings, learnt, judged, False, facts), tell)
    return told


@pytest.fixture(scope="module")
def finished(shards, settings, facts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, run(shards, settings, facts, folder)


def contents(folder):
    """Checkpoint, plot and losses; of these without the seconds."""
    rows = list(csv.reader(io.StringIO((folder / "losses.csv").read_text())))
    assert rows[0][-1] == "seconds"
    files = ("checkpoint.safetensors", "losses.svg")
    return [(folder / name).read_bytes() for name in files] + [[row[:-1] for row in rows]]


def test_what_is_told_and_written(finished, settings):
    folder, told = finished
    assert set(os.listdir(folder)) == ENDS
    lines = [value for kind, value in told if kind == "say"]
    assert lines[0].startswith("stage 1, epoch 1: loss ") and ", validation AP: pixel " in lines[0]
    assert [line[:12] for line in lines] == ["stage 1, epo"] * 2 + ["stage 1 ends"] + ["stage 2, epo"] * 2 + [
        "stage 2 ends"
    ]
    expected = [value for kind, value in told if kind == "expect"]
    assert expected == [("stage 1, at most 2 epochs", 24), ("stage 2, at most 2 epochs", 24)]
    assert sum(value for kind, value in told if kind == "advance") == 48
    rows = read_losses(str(folder))
    assert [(row["stage"], row["epoch"]) for row in rows] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert rows[0].keys() > {"loss", "focal", "dice", "learning_rate", "pixel_ap", "image_ap", "best", "seconds"}
    assert "focal" not in rows[2] and losses_table(rows).splitlines()[3].split()[:2] == ["2", "1"]
    assert (folder / "losses.svg").read_text().startswith("<?xml")


def test_the_checkpoint_says_what_made_it_and_can_be_used(finished, settings):
    folder, _ = finished
    path = str(folder / "checkpoint.safetensors")
    facts = read_facts(path)
    assert (facts["method"], facts["auxiliary"], facts["stage"], facts["image_size"]) == ("bayes-pfl", "drawn", 2, 28)
    made = facts["training"]
    assert made["settings"]["seed"] == 0 and made["settings"]["epochs"] == 2
    (held_out,) = made["validation"]["categories"]
    assert sorted([*made["training"]["categories"], held_out]) == sorted(MATERIALS)
    assert len(made["training"]["files"]) == 4 and len(made["training"]["files"][0]["sha256"]) == 64
    assert [row["stage"] for row in made["kept_epochs"]] == [1, 2]
    assert str(folder) not in json.dumps(facts)
    model = build(settings.backbone, path, 28, samples=1)
    untrained = build(settings.backbone, "random", 28, samples=1)
    assert model.fused_image_score and not torch.equal(model.bank.context, untrained.bank.context)


def test_equal_trainings_give_equal_bytes(shards, settings, facts, finished, tmp_path):
    run(shards, settings, facts, tmp_path)
    assert contents(tmp_path) == contents(finished[0])


def test_a_stopped_training_ends_with_the_same_bytes(shards, settings, facts, finished, tmp_path):
    """Stopped in the first epoch, in the second, and in the second stage; 3 steps an epoch."""
    for steps, there in ((2, set()), (5, {"state.pt", "losses.csv"}), (5, {"state.pt", "losses.csv"})):
        with pytest.raises(Stop):
            run(shards, settings, facts, tmp_path, stop_after=steps)
        assert set(os.listdir(tmp_path)) == there
    told = run(shards, settings, facts, tmp_path)
    assert told[0] == ("say", "going on behind stage 1, epoch 2")
    assert contents(tmp_path) == contents(finished[0])
    assert set(os.listdir(tmp_path)) == ENDS


@pytest.mark.slow
def test_through_ray(ray_session, shards, settings, finished, tmp_path, capfd, monkeypatch):
    """The same bytes; started again it does nothing, with other settings it refuses; an error of the worker comes
    out."""
    rows = train(shards, str(tmp_path / "run"), settings, "drawn", "held-out")
    assert contents(tmp_path / "run") == contents(finished[0])
    assert rows == read_losses(str(tmp_path / "run"))
    err = capfd.readouterr().err
    assert "learning from drawn: " in err and "validation on drawn: " in err
    assert "stage 1, at most 2 epochs: 0 of 24 images" in err and "stage 2 ends with the weights of epoch" in err
    assert json.loads((tmp_path / "run" / "train.json").read_text())["settings"]["backbone"] == "clip.pt"

    monkeypatch.setattr(pipeline.engine, "call", lambda function, *arguments: function(*arguments))  # once is enough
    before = (tmp_path / "run" / "checkpoint.safetensors").stat().st_mtime_ns
    assert train(shards, str(tmp_path / "run"), settings, "drawn", "held-out") == rows
    assert "finished before: nothing is left to do" in capfd.readouterr().err
    assert (tmp_path / "run" / "checkpoint.safetensors").stat().st_mtime_ns == before

    other = TrainingSettings(**{**vars(settings), "seed": 7})
    with pytest.raises(ZsadError, match="holds another training") as error:
        train(shards, str(tmp_path / "run"), other, "drawn", "drawn:pill")
    assert "\n  settings.seed: 0 | 7" in str(error.value) and "\n  validation.categories: " in str(error.value)

    (tmp_path / "run" / "checkpoint.safetensors").unlink()
    (tmp_path / "run" / "state.pt").write_bytes(b"half a fi")
    with pytest.raises(ZsadError, match="state.pt: not a readable checkpoint"):  # said by the worker
        train(shards, str(tmp_path / "run"), settings, "drawn", "held-out")


def test_the_worker_tells_of_an_error_and_ends_well(shards, settings, facts, tmp_path):
    """Ray Train would begin again after an exception."""
    learnt, judged = choose_validation(shards, packed(shards, "drawn"), "held-out")
    (tmp_path / "state.pt").write_bytes(b"half a fi")

    def failure(task, messages):
        assert pipeline._work({"task": task, "messages": messages}) is None
        *_, (kind, error) = messages.queue
        assert kind == "fail"
        return error

    error = failure(Task(str(tmp_path), settings, learnt, judged, False, facts), queue.Queue())
    assert type(error) is ZsadError and "state.pt: not a readable checkpoint" in str(error)
    error = failure(None, queue.Queue())
    assert type(error) is RuntimeError and "AttributeError: 'NoneType' object has no attribute" in str(error)


def test_the_worker_ends_well_where_nobody_listens():
    class Gone:
        def put(self, message):
            raise ray.exceptions.RayActorError

    assert pipeline._work({"task": None, "messages": Gone()}) is None


def test_folders_and_methods_that_will_not_do(shards, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ZsadError, match="file: a file; a training is a folder"):
        train(shards, str(tmp_path / "file"), TrainingSettings(), "drawn", "held-out")
    with pytest.raises(ZsadError, match="not empty and no training"):
        train(shards, str(tmp_path), TrainingSettings(), "drawn", "held-out")
    with pytest.raises(UsageError, match="local-contrast learns nothing"):
        train(shards, str(tmp_path / "new"), TrainingSettings(method="local-contrast"), "drawn", "held-out")
    with pytest.raises(UsageError, match="no method is named x"):
        train(shards, str(tmp_path / "new"), TrainingSettings(method="x"), "drawn", "held-out")
    with pytest.raises(UsageError, match="VisA: not one of the benchmarks packed in"):
        train(shards, str(tmp_path / "new"), TrainingSettings(), "VisA", "held-out")
    with pytest.raises(UsageError, match="--epochs 0: at least 1 is needed"):
        TrainingSettings(epochs=0)


def test_targets_that_the_weights_may_be_judged_on(shards):
    assert evaluation_targets(shards, "drawn") == ["BTAD", "target"]  # data of one's own serve every benchmark
    assert evaluation_targets(shards, "visa") == ["BTAD", "drawn", "target"]
    assert evaluation_targets(shards, "BTAD") == ["drawn", "target"]


def test_csv_and_table():
    rows = [
        {"stage": 1, "epoch": 1, "loss": 0.1 + 0.2, "focal": 0.25, "pixel_ap": 0.5, "pixel_ap a b": 0.5, "best": True},
        {"stage": 2, "epoch": 1, "loss": 2.0, "pixel_ap": 0.25, "pixel_ap a b": 0.25, "best": False},
    ]
    rows = [row | {"seconds": 3.1} for row in rows]
    assert losses_csv(rows).decode().splitlines() == [
        "stage,epoch,loss,focal,pixel_ap,pixel_ap a b,best,seconds",
        "1,1,0.30000000000000004,0.25,0.5,0.5,1,3.1",
        "2,1,2.0,,0.25,0.25,0,3.1",
    ]
    assert losses_table(rows).splitlines() == [
        "stage  epoch    loss   focal  pixel AP",
        "    1      1  0.3000  0.2500      50.0*",
        "    2      1  2.0000       –      25.0",
    ]
