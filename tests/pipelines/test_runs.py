"""run.json guards its folder; checkpoints go to the targets that the protocol names."""

import json
import shutil

import numpy as np
import pytest
import safetensors.numpy

from pipelines.routes import route_checkpoints
from pipelines.runs import open_run, read_run
from tests.run_files import change_run
from zsad_core.errors import UsageError, ZsadError
from zsad_core.methods import shipped_checkpoint

SETTINGS = {"seed": 0, "image_size": 128}
FILE = {"name": "test-00000-of-00001.parquet", "rows": 3, "sha256": "aa"}
HEADCT = {"levels": ["image"], "domain": "medical", "auxiliary": "VisA", "categories": {"head ct": {}}, "files": [FILE]}
BENCHMARKS = {"HeadCT": HEADCT}


def test_a_run_is_opened_once_and_gone_on_with(tmp_path):
    run = str(tmp_path / "run")
    open_run(run, SETTINGS, BENCHMARKS, "shards")
    first = (tmp_path / "run" / "run.json").read_bytes()
    open_run(run, SETTINGS, BENCHMARKS, "shards")
    assert (tmp_path / "run" / "run.json").read_bytes() == first
    content = read_run(run)
    assert content["settings"] == SETTINGS and content["benchmarks"] == BENCHMARKS
    assert {"torch", "ray", "python"} <= set(content["versions"])


def test_code_that_is_copied_and_not_installed_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.provenance.VERSIONS_OF", ("torch", "no-such-package"))
    open_run(str(tmp_path), SETTINGS, BENCHMARKS, "shards")
    assert read_run(str(tmp_path))["versions"]["no-such-package"] == "not installed"


def test_another_run_in_the_folder_is_refused_with_what_differs(tmp_path):
    run = str(tmp_path)
    open_run(run, SETTINGS, BENCHMARKS, "shards")
    with pytest.raises(ZsadError, match=r"holds another run.*\n  settings.seed: 0 \| 1$"):
        open_run(run, SETTINGS | {"seed": 1}, BENCHMARKS, "shards")
    with pytest.raises(ZsadError, match=r"benchmarks.HeadCT.files: not the same files"):
        open_run(run, SETTINGS, {"HeadCT": BENCHMARKS["HeadCT"] | {"files": []}}, "shards")
    with pytest.raises(ZsadError, match=r"a run of HeadCT, and this call is for HeadCT, Br35H; .*zsad leaderboard"):
        open_run(run, SETTINGS, BENCHMARKS | {"Br35H": {"levels": ["image"]}}, "shards")


def test_a_folder_with_other_things_in_it_is_no_run(tmp_path):
    (tmp_path / "thesis.doc").write_text("do not touch")
    with pytest.raises(ZsadError, match="not empty and no run"):
        open_run(str(tmp_path), SETTINGS, BENCHMARKS, "shards")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_file_is_no_run_and_hidden_files_do_not_matter(tmp_path):
    (tmp_path / ".DS_Store").write_bytes(b"")
    open_run(str(tmp_path), SETTINGS, BENCHMARKS, "shards")
    with pytest.raises(ZsadError, match="run.json: a file; a run is a folder"):
        open_run(str(tmp_path / "run.json"), SETTINGS, BENCHMARKS, "shards")


def test_other_software_is_told(tmp_path, capfd):
    open_run(str(tmp_path), SETTINGS, BENCHMARKS, "shards")
    open_run(str(tmp_path), SETTINGS, BENCHMARKS, "shards")
    assert capfd.readouterr().err == ""
    change_run(tmp_path, lambda content: content["versions"].update(torch="1.0"))
    open_run(str(tmp_path), SETTINGS, BENCHMARKS, "shards")
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(
        "this run was begun with other software, its last bits may differ (there | now): torch: 1.0 | "
    )


def test_credentials_are_not_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["zsad", "evaluate", "ftp://me:secret@host/shards"])
    open_run(str(tmp_path), SETTINGS, BENCHMARKS, "ftp://me:secret@host/shards")
    text = (tmp_path / "run.json").read_text()
    assert "secret" not in text and text.count("ftp://***@host/shards") == 2


ELSEWHERE = {"HeadCT": HEADCT | {"files": [FILE | {"name": "../../x.parquet"}]}}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"settings": {}, "versions": {}, "benchmarks": {"HeadCT": {}}},
        {"settings": {}, "versions": {}, "benchmarks": ELSEWHERE},
    ],
)
def test_a_run_json_that_is_none(tmp_path, content):
    (tmp_path / "run.json").write_text(json.dumps(content))
    for use in (read_run, lambda run: open_run(run, SETTINGS, BENCHMARKS, "shards")):
        with pytest.raises(ZsadError, match="run.json: not what `zsad evaluate` wrote"):
            use(str(tmp_path))


def test_reading_what_is_no_run(tmp_path):
    with pytest.raises(ZsadError, match="no run there"):
        read_run(str(tmp_path))
    (tmp_path / "run.json").write_text(json.dumps(SETTINGS)[:-3])
    with pytest.raises(ZsadError, match="run.json: not valid JSON"):
        read_run(str(tmp_path))


TARGETS = {"MVTec-AD": "VisA", "VisA": "MVTec-AD", "HeadCT": "VisA"}


def test_each_target_gets_the_weights_that_the_protocol_names():
    files, routes = route_checkpoints(["VisA=a.pth", "MVTec-AD=b.pth"], TARGETS | {"cookies": None})
    assert files == {"VisA": "a.pth", "MVTec-AD": "b.pth"}
    assert routes == {"MVTec-AD": "VisA", "VisA": "MVTec-AD", "HeadCT": "VisA", "cookies": "VisA"}


def test_weights_that_no_target_needs_are_not_loaded():
    files, _ = route_checkpoints(["VisA=a.pth", "MVTec-AD=b.pth"], {"HeadCT": "VisA"})
    assert files == {"VisA": "a.pth"}


def test_data_of_ones_own_takes_any_weights():
    assert route_checkpoints(["a.pth"], {"cookies": None}) == ({"a.pth": "a.pth"}, {"cookies": "a.pth"})
    assert route_checkpoints(["MVTec-AD=b.pth"], {"cookies": None})[1] == {"cookies": "MVTec-AD"}


def test_a_file_name_may_hold_an_equals_sign():
    file = "s3://bucket/lr=1e-3/x.pth"
    assert route_checkpoints([file], {"cookies": None})[0] == {file: file}
    assert route_checkpoints([f"visa={file}"], {"HeadCT": "VisA"})[0] == {"VisA": file}


def test_a_trainings_folder_stands_for_its_checkpoint(tmp_path):
    (tmp_path / "nothing").mkdir()
    shutil.copy(shipped_checkpoint("bayes-pfl"), tmp_path / "checkpoint.safetensors")
    file = str(tmp_path / "checkpoint.safetensors")
    assert route_checkpoints([str(tmp_path)], {"HeadCT": "VisA"}) == ({"DrawnWorld": file}, {"HeadCT": "DrawnWorld"})
    with pytest.raises(UsageError, match="a folder without a checkpoint.safetensors; name a file"):
        route_checkpoints([str(tmp_path / "nothing")], {"HeadCT": "VisA"})


@pytest.mark.parametrize("options", [["random"], ["VisA=random"]])
def test_untrained_weights_serve_every_target(options):
    assert route_checkpoints(options, TARGETS) == ({"random": "random"}, dict.fromkeys(TARGETS, "random"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["VisA=a.pth"], "VisA is the auxiliary set of a.pth: a model is not judged on what it was trained"),
        (["MVTec-AD=b.pth"], "MVTec-AD is the auxiliary set of b.pth"),
        (["a.pth"], "MVTec-AD is evaluated with weights trained on VisA: write --checkpoint VisA=FILE"),
        (["VisA=a.pth", "VisA=b.pth"], "VisA is given twice"),
        (["VisA=a.pth", "random"], "untrained weights cannot stand beside"),
        (["VisA=a.pth", "MVTec-AD=random"], "untrained weights cannot stand beside"),
        (["a.pth", "b.pth"], "b.pth: of several files each needs its auxiliary benchmark"),
        (["Typo=a.pth"], "MVTec-AD is evaluated with weights trained on VisA: write --checkpoint VisA=FILE"),
    ],
)
def test_wrong_checkpoints(options, message):
    with pytest.raises(UsageError, match=message):
        route_checkpoints(options, TARGETS)


def own_checkpoint(folder, auxiliary):
    """A checkpoint of this package's, as far as its head goes, as `<folder>/<auxiliary>.safetensors`."""
    facts = {
        "method": "bayes-pfl", "auxiliary": auxiliary, "stage": 2, "backbone": "clip.pt", "backbone_sha256": "aa",
        "image_size": 98, "activation": "gelu", "training": {},
    }  # fmt: skip
    path = str(folder / f"{auxiliary}.safetensors")
    safetensors.numpy.save_file({"x": np.zeros(1, np.float32)}, path, {"zsad": json.dumps(facts)})
    return path


def test_own_checkpoints_name_their_auxiliary_set(tmp_path):
    visa, mvtec = own_checkpoint(tmp_path, "visa"), own_checkpoint(tmp_path, "MVTec-AD")
    files, routes = route_checkpoints([visa, mvtec], TARGETS | {"cookies": None})
    assert files == {"VisA": visa, "MVTec-AD": mvtec}
    assert routes == {"MVTec-AD": "VisA", "VisA": "MVTec-AD", "HeadCT": "VisA", "cookies": "VisA"}
    assert route_checkpoints([f"VisA={visa}", f"MVTec-AD={mvtec}"], TARGETS)[0] == files
    assert route_checkpoints(["VisA=a.pth", mvtec], TARGETS)[0] == {"VisA": "a.pth", "MVTec-AD": mvtec}


def test_own_checkpoints_from_a_uri(tmp_path):
    uri = f"file://{own_checkpoint(tmp_path, 'VisA')}"
    assert route_checkpoints([uri], {"HeadCT": "VisA"}) == ({"VisA": uri}, {"HeadCT": "VisA"})


def test_weights_trained_outside_the_table_serve_every_target(tmp_path):
    drawn, mine = own_checkpoint(tmp_path, "DrawnWorld"), own_checkpoint(tmp_path, "mine")
    everything = TARGETS | {"cookies": None}
    assert route_checkpoints([drawn], everything) == ({"DrawnWorld": drawn}, dict.fromkeys(everything, "DrawnWorld"))
    _, routes = route_checkpoints([drawn, "VisA=a.pth"], everything)
    assert routes == {"MVTec-AD": "VisA", "VisA": "DrawnWorld", "HeadCT": "VisA", "cookies": "VisA"}
    with pytest.raises(UsageError, match="mine is the auxiliary set of .*/mine.safetensors: a model is not judged"):
        route_checkpoints([mine], {"HeadCT": "VisA", "mine": None})
    with pytest.raises(UsageError, match="trained on DrawnWorld and on mine serve every target"):
        route_checkpoints([drawn, mine], everything)


def test_wrong_own_checkpoints(tmp_path):
    visa, mvtec = own_checkpoint(tmp_path, "VisA"), own_checkpoint(tmp_path, "MVTec-AD")
    (tmp_path / "half.safetensors").write_bytes(b"nothing")
    for options, message in [
        ([f"MVTec-AD={visa}"], "it was trained on VisA, as the file itself says, not on MVTec-AD"),
        ([visa, f"VisA={visa}"], "VisA is given twice"),
        ([visa], "VisA is the auxiliary set of .*VisA.safetensors: a model is not judged on what it was trained"),
        ([mvtec], "MVTec-AD is the auxiliary set of .*Add --checkpoint VisA=FILE"),
        ([visa, "random"], "untrained weights cannot stand beside"),
        ([str(tmp_path / "half.safetensors")], "half.safetensors: damaged"),
        ([str(tmp_path / "none.safetensors")], "none.safetensors: no such file"),
    ]:
        with pytest.raises(ZsadError, match=message):
            route_checkpoints(options, TARGETS)
