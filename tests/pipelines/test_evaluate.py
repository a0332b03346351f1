"""Shards to tables: what changes a prediction and what must not, resuming, and samples that cannot be scored."""

import dataclasses
import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image

from pipelines import engine, shards, storage
from pipelines.evaluate import evaluate
from pipelines.pack import pack
from pipelines.predict import Predicted
from tests.drawn_source import draw_mvtec
from tests.pictures import encoded, square
from tests.plain_check import differences, tables_from_files
from zsad_core import map_codec
from zsad_core.benchmarks.table import own_benchmark
from zsad_core.errors import UsageError, ZsadError
from zsad_core.images import mask_pixels
from zsad_core.methods import bayes_pfl
from zsad_core.methods.bayes_pfl.checkpoint import facts_of
from zsad_core.methods.weights import save
from zsad_core.scoring import Scorer
from zsad_core.settings import ScoringSettings

QUICK = ScoringSettings(method="local-contrast", image_size=64)  # where the method does not matter
CATEGORIES = ["grid", "pill", "wood"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    draw_mvtec(str(folder), CATEGORIES, normal=4, anomalous=5, size=120)
    return folder


@pytest.fixture(scope="module")
def packed(source, without_ray, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("shards"))
    pack(own_benchmark("drawn"), str(source), folder, shard_size=8)
    return folder


@pytest.fixture(scope="module")
def run(packed, settings, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("run") / "first")
    evaluate(packed, folder, settings, [settings.checkpoint], actors=1)
    return folder


def files_below(folder, *parts):
    """Path below `folder` -> content, of all files in its sub-folders `parts`."""
    found = {}
    for part in parts:
        for place, _, names in os.walk(os.path.join(folder, part)):
            for name in names:
                path = os.path.join(place, name)
                with open(path, "rb") as file:
                    found[os.path.relpath(path, folder)] = file.read()
    return found


def rows_of(run, name="drawn"):
    folder = os.path.join(run, "predictions", f"benchmark={name}")
    rows = [row for file in sorted(os.listdir(folder)) for row in read_rows(os.path.join(folder, file))]
    return {row["key"]: row for row in rows}


def read_rows(path):
    with open(path, "rb") as file:
        return pq.read_table(file).to_pylist()


def codes_of(row):
    return map_codec.decode(row["anomaly_map"], row["map_height"], row["map_width"])


def test_predictions_are_the_models(run, source, settings):
    """One image at a time, from its file, without any pipeline."""
    scorer = Scorer(dataclasses.replace(settings, batch_size=1))
    rows = rows_of(run)
    assert len(rows) == 27
    for key in ["grid/test/good/000.png", "pill/test/crack/000.png", "wood/test/hole/000.png"]:
        content = (source / key).read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        scores = scorer.score(square(content, 98)[None], [key.split("/")[0]], [sha256], [False])
        row = rows[key]
        assert (row["sha256"], row["prompt"], row["error"]) == (sha256, key.split("/")[0], None)
        assert_allclose([row["score_text"], row["score_map"]], [scores.text[0], scores.map[0]], rtol=0, atol=1e-5)
        assert row["score"] == (row["score_text"] + row["score_map"]) / 2
        assert np.abs(codes_of(row).astype(int) - scores.codes[0]).max() <= 1


def test_masks_are_at_the_maps_size(run, source):
    rows = rows_of(run)
    for key in ["pill/test/crack/000.png", "wood/test/hole/000.png"]:
        mask = (source / key.replace("test", "ground_truth").replace(".png", "_mask.png")).read_bytes()
        assert np.array_equal(map_codec.unpack_mask(rows[key]["mask"], 98, 98), mask_pixels(mask, 98))
    assert not any(rows["grid/test/good/000.png"]["mask"])


def test_tables_equal_plain_pandas(run):
    results = storage.read_json(storage.join(run, "metrics", "results.json"))
    assert not differences(tables_from_files(run), results["benchmarks"])
    assert results["benchmarks"]["drawn"]["mean"]["pixel"]["aupro"]["value"] is not None


def test_the_order_of_shards_changes_no_byte(packed, run, settings, tmp_path):
    reordered = str(tmp_path / "shards")
    shutil.copytree(packed, reordered)
    manifest = storage.read_json(storage.join(reordered, "drawn", "manifest.json"))
    assert len(manifest["files"]) == 4
    manifest["files"].reverse()
    storage.write_json(storage.join(reordered, "drawn", "manifest.json"), manifest)
    other = str(tmp_path / "run")
    evaluate(reordered, other, settings, [settings.checkpoint], actors=1)
    assert files_below(other, "predictions", "metrics") == files_below(run, "predictions", "metrics")


def test_batch_and_shard_size_move_codes_by_one_at_most(source, run, settings, tmp_path):
    pack(own_benchmark("drawn"), str(source), str(tmp_path / "shards"), shard_size=5)
    other = dataclasses.replace(settings, batch_size=7)
    results = evaluate(str(tmp_path / "shards"), str(tmp_path / "run"), other, [settings.checkpoint], actors=1)
    here, there = rows_of(run), rows_of(str(tmp_path / "run"))
    assert here.keys() == there.keys()
    for key, row in here.items():
        assert np.abs(codes_of(row).astype(int) - codes_of(there[key])).max() <= 1
        # The tiny seeded model is ill-conditioned: its text features move by 2e-5 with the order of float32 sums.
        assert_allclose(row["score"], there[key]["score"], rtol=0, atol=5e-5)
    first = storage.read_json(storage.join(run, "metrics", "results.json"))["benchmarks"]["drawn"]["mean"]
    for level, metrics in first.items():
        for metric, result in metrics.items():
            assert round(result["value"], 4) == round(results["benchmarks"]["drawn"]["mean"][level][metric]["value"], 4)


def test_smaller_maps_change_pixel_metrics_alone(packed, run, settings, tmp_path):
    smaller = str(tmp_path / "run")
    evaluate(packed, smaller, dataclasses.replace(settings, map_size=49), [settings.checkpoint], actors=1)
    rows, whole = rows_of(smaller), rows_of(run)
    for key, row in rows.items():
        assert [row[name] for name in ("map_height", "map_width", "score")] == [49, 49, whole[key]["score"]]
        assert np.abs(codes_of(row) - codes_of(whole[key]).reshape(49, 2, 49, 2).mean((1, 3))).max() <= 1
    results, of_whole = (storage.read_json(storage.join(each, "metrics", "results.json")) for each in (smaller, run))
    assert not differences(tables_from_files(smaller), results["benchmarks"])
    means, means_of_whole = (each["benchmarks"]["drawn"]["mean"] for each in (results, of_whole))
    assert means["image"] == means_of_whole["image"]
    assert abs(means["pixel"]["auroc"]["value"] - means_of_whole["pixel"]["auroc"]["value"]) < 0.02
    with pytest.raises(UsageError, match="--map-size 99: maps are not stored larger than the image, 98"):
        evaluate(packed, str(tmp_path / "other"), dataclasses.replace(settings, map_size=99), [settings.checkpoint])


@pytest.mark.parametrize(
    ("gpus", "gigabytes", "actors", "given", "expected"),
    [
        (1, 139, None, None, (2, 64)),
        (8, 24, None, None, (16, 64)),
        (1, 1, None, None, (2, 4)),  # 0.4 GB a model and 91 MB an image
        (0, 1, 8, None, (8, 4)),  # none yet in the cluster
        (1, 0.1, None, None, (2, 1)),
        (1, 24, 1, 50, (1, 50)),
    ],
)
def test_models_and_batches_are_found_from_the_gpus(
    monkeypatch, capsys, packed, settings, tmp_path, gpus, gigabytes, actors, given, expected
):
    facts = {"image_size": 98, "map_size": 98, "parameter_bytes": 3e7, "working_bytes": 9.1e7}
    facts |= {"gpu_bytes": gigabytes * 1e9, "options_of": {"drawn": {}}}
    seen = []
    monkeypatch.setattr(engine, "resources", lambda: {"CPU": 16.0, "GPU": float(gpus), "memory": 128e9})
    monkeypatch.setattr("pipelines.models.describe", lambda *_: facts)
    monkeypatch.setattr("pipelines.models._pending", lambda *_: [{}] * 20)
    monkeypatch.setattr("pipelines.models.predict", lambda *given: seen.append(given) or Predicted())
    monkeypatch.setattr("pipelines.evaluate.reduce", lambda _: {})
    monkeypatch.setenv("RAY_ADDRESS", "somewhere")
    asked = dataclasses.replace(settings, batch_size=given, device="cuda")
    evaluate(packed, str(tmp_path / "run"), asked, [settings.checkpoint], actors=actors)
    _, scored_by, image_size, map_size, models = seen[0]
    assert (models, scored_by.batch_size) == expected
    assert (scored_by.device, image_size, map_size) == ("cuda", 98, 98)
    said = f"scoring: device cuda, models {expected[0]}, threads 1, batch size {expected[1]}, precision fp32"
    assert said in capsys.readouterr().err
    recorded = storage.read_json(storage.join(str(tmp_path / "run"), "run.json"))["settings"]
    assert recorded["batch_size"] == expected[1] and "gpu_bytes" not in recorded


def test_another_run_in_the_folder_is_refused(packed, run, settings):
    before = files_below(run, ".")
    with pytest.raises(ZsadError, match=r"holds another run(.|\n)*seed: 0 \| 5"):
        evaluate(packed, run, dataclasses.replace(settings, seed=5), [settings.checkpoint])
    assert files_below(run, ".") == before


def test_nothing_is_written_where_the_model_is_wrong(packed, settings, tmp_path):
    damaged = tmp_path / "half.pth"
    damaged.write_bytes(Path(settings.checkpoint).read_bytes()[:5000])
    small = dataclasses.replace(settings, backbone="zsad-small:random")
    for other, checkpoint, kind, message in [
        (small, settings.checkpoint, UsageError, "98 is no multiple of the patch size 8"),
        (settings, str(damaged), ZsadError, "half.pth: not a readable checkpoint"),
        (settings, str(tmp_path / "none.pth"), ZsadError, "none.pth: no such file"),
    ]:
        with pytest.raises(kind, match=message):
            evaluate(packed, str(tmp_path / "run"), other, [checkpoint])
        assert not (tmp_path / "run").exists()


def test_another_backbone_needs_its_own_checkpoint(packed, settings, tmp_path):
    with pytest.raises(UsageError, match="--checkpoint: name bayes-pfl's weights for .*clip.pt, a file, or random"):
        evaluate(packed, str(tmp_path / "run"), settings, [])


def test_two_auxiliary_sets_in_one_run(source, settings, tmp_path):
    """A benchmark of the table and its opposite, each with the weights that the protocol names: a file of the authors',
    whose auxiliary set has to be told, and one of our own, which names it, on any storage."""
    for name, auxiliary in (("drawn", "VisA"), ("other", "MVTec-AD")):
        pack(own_benchmark(name), str(source), str(tmp_path / "shards"))
        uri = str(tmp_path / "shards" / name / "manifest.json")
        storage.write_json(uri, storage.read_json(uri) | {"auxiliary": auxiliary})
    model = bayes_pfl.build(settings.backbone, settings.checkpoint, settings.image_size, samples=1)
    model.pixel_temperature.data += 0.5
    save(model, str(tmp_path / "mvtec.safetensors"), facts_of(model, "MVTec-AD", {}))
    checkpoints = [f"VisA={settings.checkpoint}", f"file://{tmp_path / 'mvtec.safetensors'}"]
    evaluate(str(tmp_path / "shards"), str(tmp_path / "run"), settings, checkpoints, actors=1)
    here, there = (rows_of(str(tmp_path / "run"), name) for name in ("drawn", "other"))
    assert all(row["score_text"] == there[key]["score_text"] for key, row in here.items())
    assert all(row["score_map"] != there[key]["score_map"] for key, row in here.items())
    recorded = storage.read_json(str(tmp_path / "run" / "run.json"))
    assert recorded["benchmarks"]["other"]["checkpoint"] == "MVTec-AD"
    assert recorded["settings"]["checkpoints"]["MVTec-AD"]["sha256"] == sha256_of(tmp_path / "mvtec.safetensors")


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def noise(mode, size=(60, 40), kind="PNG", **options):
    pixels = np.random.default_rng(3).integers(0, 255, (size[1], size[0], 4), dtype=np.uint8)
    deep = mode == "I;16"
    image = pixels[..., 0].astype(np.uint16) * 257 if deep else Image.fromarray(pixels, "RGBA").convert(mode)
    return encoded(image, kind, **options)


def test_bad_samples_become_rows_that_say_why(settings, without_ray, tmp_path):
    source = tmp_path / "source"
    draw_mvtec(str(source), ["pill"], normal=3, anomalous=3, size=60)
    good, crack = source / "pill" / "test" / "good", source / "pill" / "test" / "crack"
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, content in {
        "grey16.png": noise("I;16"), "palette.png": noise("P"), "grey.png": noise("L"), "rgba.png": noise("RGBA"),
        "cmyk.jpg": noise("CMYK", kind="JPEG"), "turned.jpg": noise("RGB", kind="JPEG", exif=exif),
        "empty.png": b"", "truncated.png": noise("RGB")[:900], "text.png": b"not an image",
    }.items():  # fmt: skip
        (good / name).write_bytes(content)
    (good / "folder.png").mkdir()
    masks = source / "pill" / "ground_truth" / "crack"
    (crack / "nomask.png").write_bytes(noise("RGB"))
    (crack / "black.png").write_bytes(noise("RGB"))
    (masks / "black_mask.png").write_bytes(black((60, 40)))
    (crack / "othersize.png").write_bytes(noise("RGB"))
    (masks / "othersize_mask.png").write_bytes(black((30, 40)))
    good_masks = source / "pill" / "ground_truth" / "good"
    good_masks.mkdir()
    (good_masks / "002_mask.png").write_bytes(black((60, 60), 255))
    pack(own_benchmark("bad"), str(source), str(tmp_path / "shards"), shard_size=7)
    spoil_one_image(str(tmp_path / "shards" / "bad"))
    results = evaluate(str(tmp_path / "shards"), str(tmp_path / "run"), settings, [settings.checkpoint], actors=1)

    rows = {
        key.rsplit("/", 1)[1]: row for key, row in rows_of(str(tmp_path / "run"), "bad").items() if key.count("good")
    }
    marked = {
        key.rsplit("/", 1)[1]: row for key, row in rows_of(str(tmp_path / "run"), "bad").items() if "crack" in key
    }
    for name in ("grey16.png", "palette.png", "cmyk.jpg", "grey.png", "rgba.png", "turned.jpg"):
        assert rows[name]["error"] is None and 0 < rows[name]["score"] < 1, name
    for name, reason in {"empty.png": "empty file", "truncated.png": "truncated", "text.png": "not an image",
                         "folder.png": "directory", "001.png": "other sha256"}.items():  # fmt: skip
        assert reason in rows[name]["error"]
        assert all(rows[name][column] is None for column in ("score", "score_text", "score_map", "anomaly_map"))
    for name, reason in {"nomask.png": "no mask", "black.png": "all black", "othersize.png": "mask is 30 x 40"}.items():
        assert reason in marked[name]["mask_error"]
        assert marked[name]["mask"] is None and marked[name]["score"] is not None

    assert "normal image has anomalous pixels" in rows["002.png"]["mask_error"] and rows["002.png"]["mask"] is None

    pill = results["benchmarks"]["bad"]["categories"]["pill"]
    assert (pill["images"], pill["left_out"], pill["pixel_left_out"]) == (19, 5, 4)
    table = (tmp_path / "run" / "metrics" / "table.md").read_text()
    assert "5 images could not be scored, left out; 4 images without a known mask, in no pixel metric" in table
    assert not differences(tables_from_files(tmp_path / "run"), results["benchmarks"])


def black(size, grey=0):
    return encoded(Image.new("L", size, grey))


def spoil_one_image(folder):
    """Replace the bytes of one packed image, with a manifest that goes along: its sha256 then gives it away."""
    manifest = storage.read_json(f"{folder}/manifest.json")
    for position, file in enumerate(manifest["files"]):
        rows = shards.read_shard(f"{folder}/{file['name']}").to_pylist()
        for row in rows:
            if row["key"].endswith("good/001.png"):
                row["image"] = noise("RGB", (60, 60))
                manifest["files"][position] = shards.write_shard(f"{folder}/{file['name']}", rows)
    storage.write_json(f"{folder}/manifest.json", manifest)


def test_a_shard_without_any_good_image_and_nothing_left_to_do(without_ray, tmp_path, capsys):
    good = tmp_path / "source" / "pill" / "test" / "good"
    good.mkdir(parents=True)
    for number in range(4):
        (good / f"{number}.png").write_bytes(b"nothing" if number < 2 else noise("RGB"))
    pack(own_benchmark("bad"), str(tmp_path / "source"), str(tmp_path / "shards"), shard_size=2)
    results = evaluate(str(tmp_path / "shards"), str(tmp_path / "run"), QUICK, [], actors=1)
    pill = results["benchmarks"]["bad"]["categories"]["pill"]
    assert (pill["images"], pill["left_out"]) == (4, 2)
    assert pill["image"]["auroc"]["value"] is None
    assert "all predictions are there" not in capsys.readouterr().err
    assert evaluate(str(tmp_path / "shards"), str(tmp_path / "run"), QUICK, [], actors=1) == results
    assert "all predictions are there; the tables are made from them" in capsys.readouterr().err


def test_a_damaged_shard_is_named_and_all_others_are_done(packed, tmp_path):
    copy = tmp_path / "shards"
    shutil.copytree(packed, copy)
    name = sorted(path.name for path in (copy / "drawn").glob("*.parquet"))[2]
    content = (copy / "drawn" / name).read_bytes()
    (copy / "drawn" / name).write_bytes(content[:-100])
    with pytest.raises(ZsadError, match=f"{name}: not the file that manifest.json names"):
        evaluate(str(copy), str(tmp_path / "run"), QUICK, [], actors=1)
    written = sorted(os.path.basename(path) for path in files_below(str(tmp_path / "run"), "predictions"))
    assert written == sorted(path.name for path in (copy / "drawn").glob("*.parquet") if path.name != name)


def test_run_json_holds_what_made_the_run(run, settings, packed):
    recorded = storage.read_json(os.path.join(run, "run.json"))
    assert recorded["settings"] | {
        "method": "bayes-pfl", "backbone": "clip.pt", "image_size": 98, "samples": 2, "seed": 0, "precision": "fp32",
        "batch_size": 3, "threads": 1, "device": "cpu", "activation": "gelu",
    } == recorded["settings"]  # fmt: skip
    assert len(recorded["settings"]["backbone_sha256"]) == 64
    manifest = storage.read_json(storage.join(packed, "drawn", "manifest.json"))
    assert recorded["benchmarks"]["drawn"]["files"] == manifest["files"]
    assert recorded["versions"]["torch"] == torch.__version__.split("+")[0]
