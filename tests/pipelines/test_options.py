"""Each benchmark is scored with the option values that were published for it, or with the user's for all."""

import dataclasses
import shutil

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipelines import storage
from pipelines.evaluate import evaluate
from pipelines.pack import pack
from pipelines.predictions import prediction_uri, read_predictions
from pipelines.reduce import reduce
from tests.drawn_source import draw_mvtec
from tests.pictures import square
from zsad_core.benchmarks.table import own_benchmark
from zsad_core.errors import UsageError, ZsadError
from zsad_core.methods.cops import build
from zsad_core.methods.cops.checkpoint import facts_of
from zsad_core.methods.weights import save
from zsad_core.scoring import Scorer

PUBLISHED = {"VisA": {"alpha": 0.35, "beta": 1.0, "pooling": 3}, "drawn": {"alpha": 0.26, "beta": 0.9, "pooling": 5}}
FILE = "test-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def shards(without_ray, tmp_path_factory):
    source, folder = (tmp_path_factory.mktemp(name) for name in ("source", "shards"))
    draw_mvtec(str(source), ["wood"], normal=2, anomalous=2, size=98)
    for name in PUBLISHED:
        pack(own_benchmark("drawn"), str(source), str(folder / "packed"), overwrite=True)
        shutil.move(folder / "packed" / "drawn", folder / name)
        uri = str(folder / name / "manifest.json")
        storage.write_json(uri, storage.read_json(uri) | {"benchmark": name})
    shutil.rmtree(folder / "packed")
    return folder


@pytest.fixture(scope="module")
def cops(settings):
    return dataclasses.replace(settings, method="cops", checkpoint="random")


def rows_of(run, name):
    return read_predictions(prediction_uri(run, name, FILE)).to_pylist()


def by_scorer(settings, shards, name, options):
    samples = storage_rows(shards, name)
    pixels = np.stack([square(sample["image"], 98) for sample in samples])
    prompts, sha256s = ([sample[part] for sample in samples] for part in ("prompt", "sha256"))
    return Scorer(settings).score(pixels, prompts, sha256s, [False] * len(samples), options)


def storage_rows(shards, name):
    from pipelines.shards import read_shard

    (file,) = storage.read_json(str(shards / name / "manifest.json"))["files"]
    return read_shard(str(shards / name / file["name"]), file).to_pylist()


def test_the_published_ones_by_benchmark_or_the_users(shards, cops, tmp_path):
    first, second = str(tmp_path / "published"), str(tmp_path / "given")
    evaluate(str(shards), first, cops, ["random"], actors=1)
    recorded = storage.read_json(f"{first}/run.json")
    assert {name: facts["options"] for name, facts in recorded["benchmarks"].items()} == PUBLISHED
    assert recorded["settings"]["options"] == {}
    found = {}
    for name, options in PUBLISHED.items():
        found[name] = [row["score_text"] for row in rows_of(first, name)]
        assert_allclose(found[name], by_scorer(cops, shards, name, options).text, rtol=0, atol=1e-6)
    assert not np.allclose(found["VisA"], found["drawn"], rtol=0, atol=1e-4)

    evaluate(str(shards), second, dataclasses.replace(cops, options={"beta": 1.0}), ["random"], actors=1)
    recorded = storage.read_json(f"{second}/run.json")
    assert recorded["benchmarks"]["drawn"]["options"] == PUBLISHED["drawn"] | {"beta": 1.0}
    assert recorded["settings"]["options"] == {"beta": 1.0}
    assert not np.allclose([row["score_text"] for row in rows_of(second, "drawn")], found["drawn"], rtol=0, atol=1e-4)

    with pytest.raises(ZsadError, match=r"settings.options.beta: 1.0 \| None"):
        evaluate(str(shards), second, cops, ["random"], actors=1)
    recorded["benchmarks"]["drawn"]["options"]["alpha"] = 0.5  # no longer what the predictions were made from
    storage.write_json(f"{second}/run.json", recorded)
    with pytest.raises(ZsadError, match="drawn"):
        reduce([second])


def test_those_that_weights_were_trained_for(shards, cops, tmp_path):
    """Two benchmarks with weights of their own; the user's number stands above theirs."""
    model = build(cops.backbone, "random", cops.image_size, samples=1)
    of_weights = {"VisA": {"alpha": 0.75, "pooling": 7}, "MVTec-AD": {"beta": 0.25}}
    files = [str(tmp_path / f"{auxiliary}.safetensors") for auxiliary in of_weights]
    for file, (auxiliary, options) in zip(files, of_weights.items()):
        save(model, file, facts_of(model, auxiliary, {}, options))
    given = dataclasses.replace(cops, options={"alpha": 0.5})
    evaluate(str(shards), str(tmp_path / "run"), given, files, actors=1)
    recorded = storage.read_json(str(tmp_path / "run" / "run.json"))["benchmarks"]
    for target, auxiliary in (("drawn", "VisA"), ("VisA", "MVTec-AD")):
        options = PUBLISHED[target] | of_weights[auxiliary] | {"alpha": 0.5}
        assert recorded[target]["options"] == options
        found = [row["score_text"] for row in rows_of(str(tmp_path / "run"), target)]
        assert_allclose(found, by_scorer(cops, shards, target, options).text, rtol=0, atol=1e-6)


def test_one_that_the_method_does_not_have(shards, cops, tmp_path):
    with pytest.raises(UsageError, match="--option gamma: not an option of the method; its options: alpha 0.26"):
        evaluate(str(shards), str(tmp_path / "run"), dataclasses.replace(cops, options={"gamma": 1.0}), ["random"])
    assert not (tmp_path / "run").exists()
