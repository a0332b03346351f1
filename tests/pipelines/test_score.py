"""Archives of images to predictions: of any kind the same, what comes later is added, what is damaged is said."""

import dataclasses
import hashlib
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipelines import storage
from pipelines.evaluate import evaluate
from pipelines.originals import Origin, origin_of_run, original_images
from pipelines.score import score
from tests.files import write, write_tar
from tests.hand_packed import rows_of, write_packed
from tests.object_store import BUCKET
from tests.pictures import encoded, square
from zsad_core import map_codec
from zsad_core.errors import UsageError, ZsadError
from zsad_core.scoring import Scorer
from zsad_core.settings import ScoringSettings
from zsad_core.tiling import assembled, tile_pixels, tiling_of

QUICK = ScoringSettings(method="local-contrast", image_size=64)
pytestmark = pytest.mark.usefixtures("without_ray")


@pytest.fixture(scope="module")
def images():
    """Path -> content; two categories."""
    rows = rows_of("drawn", "pill", normal=20, anomalous=20) + rows_of("drawn", "wood", normal=3, anomalous=3)
    return {f"{row['category']}/{int(row['key'].split('/')[1]):03d}.png": row["image"] for row in rows}


@pytest.fixture
def folder(images, tmp_path):
    write(tmp_path / "archive", images)
    return tmp_path / "archive"


def quick(source, run, settings=QUICK, **options):
    return score(str(source), str(run), settings, [], actors=1, **options)


def frame_of(run):
    """All predictions of a local run, as plain pandas reads them."""
    return pd.read_parquet(Path(run, "predictions")).set_index("key").sort_index()


def files_of(run):
    return {path: path.read_bytes() for path in Path(run, "predictions").rglob("*.parquet")}


def assert_same_scores(frame, other):
    """By content of the images, whatever they are called."""
    frame, other = (each.set_index("sha256").sort_index() for each in (frame, other))
    assert list(frame.index) == list(other.index)
    for name in ("score_text", "score_map", "score", "anomaly_map", "anomaly_map_std"):
        assert frame[name].equals(other[name]), name


def test_folders_tars_parquet_shards_and_a_bucket_give_the_same(s3_proxy, images, folder, tmp_path):
    first = quick(folder, tmp_path / "runs" / "folder")
    assert (first.there, first.now.images, first.now.not_scored) == (46, 46, 0)
    frame = frame_of(tmp_path / "runs" / "folder")
    assert list(frame.index) == sorted(images)
    assert frame["sha256"].to_dict() == {key: hashlib.sha256(content).hexdigest() for key, content in images.items()}
    assert frame["category"].tolist() == [key.split("/")[0] for key in frame.index]
    assert (frame["height"] == 48).all() and frame["label"].isna().all() and frame["error"].isna().all()

    os.mkdir(tmp_path / "tars")
    names = sorted(images)
    for number, some in enumerate((names[:17], names[17:])):
        write_tar(tmp_path / "tars" / f"{number}.tar", {name: images[name] for name in some})
    rows = pd.DataFrame({"key": names, "image": [{"bytes": images[name], "path": name} for name in names]})
    rows["category"] = [name.split("/")[0] for name in names]
    rows.to_parquet(tmp_path / "images.parquet", row_group_size=10)
    packed = [row | {"label": None, "mask": None} for row in rows_of("drawn", "pill", normal=20, anomalous=20)]
    write_packed(tmp_path / "shards", "drawn", packed + rows_of("drawn", "wood", normal=3, anomalous=3), shard_size=7)
    for name, content in images.items():
        storage.write_bytes(f"s3://{BUCKET}/archive/{name}", content)

    sources = {"tars": tmp_path / "tars", "parquet": tmp_path / "images.parquet", "shards": tmp_path / "shards"}
    for kind, source in sources.items():
        quick(source, tmp_path / "runs" / kind)
        assert_same_scores(frame_of(tmp_path / "runs" / kind), frame)
    assert set(frame_of(tmp_path / "runs" / "tars").index) == {
        f"{int(name in names[17:])}.tar/{name}" for name in images
    }
    assert list(frame_of(tmp_path / "runs" / "parquet").index) == names

    score(f"s3://{BUCKET}/archive", f"s3://{BUCKET}/run", QUICK, [], actors=1)
    for path in storage.list_tree(f"s3://{BUCKET}/run/predictions")[0]:
        write(
            tmp_path / "runs" / "s3" / "predictions",
            {path: storage.read_bytes(f"s3://{BUCKET}/run/predictions/{path}")},
        )
    assert frame_of(tmp_path / "runs" / "s3").equals(frame)


def test_what_comes_later_is_scored_alone(images, folder, tmp_path, capfd):
    run = tmp_path / "run"
    quick(folder, run)
    before = files_of(run)
    again = quick(folder, run)
    assert (again.there, again.now.images) == (46, 0) and files_of(run) == before

    new = {f"pill/later/{number}.png": content for number, content in enumerate(list(images.values())[:10])}
    write(folder, new)
    later = quick(folder, run)
    assert (later.there, later.now.images) == (56, 10)
    after = files_of(run)
    assert {path: after[path] for path in before} == before and len(after) == len(before) + 1
    assert set(frame_of(run).index) == {*images, *new}
    assert "56 images, 10 of them new" in capfd.readouterr().err


def test_only_what_is_missing_or_was_written_anew_is_done_again(images, folder, tmp_path):
    run = tmp_path / "run"
    quick(folder, run)
    whole = files_of(run)
    first, second = sorted(whole)
    first.unlink()
    assert quick(folder, run).now.images == 32
    assert files_of(run) == whole

    (folder / "wood" / "005.png").write_bytes(images["pill/000.png"])
    assert quick(folder, run).now.images == 14  # those of its unit
    changed = files_of(run)
    assert changed[first] == whole[first] and changed[second] != whole[second]
    frame = frame_of(run)
    assert frame.loc["wood/005.png", "sha256"] == frame.loc["pill/000.png", "sha256"]

    shutil.move(folder, tmp_path / "moved")
    (tmp_path / "moved" / "wood" / "000.png").touch()
    assert quick(tmp_path / "moved", run, name="archive").now.images == 0


def test_what_cannot_be_scored_is_a_row_that_says_why(images, folder, tmp_path, capfd):
    content = images["pill/000.png"]
    write(folder, {"pill/cut.png": content[:300], "pill/empty.png": b"", "notes.txt": b"x", "pill/a.jpg": b"no image"})
    write_tar(folder / "pill.tar", {"1.png": content})
    (folder / "pill.tar").write_bytes((folder / "pill.tar").read_bytes()[:700])
    done = quick(folder, tmp_path / "run", prompt="thing")
    assert (done.now.images, done.now.not_scored) == (51, 5)
    errors = frame_of(tmp_path / "run")["error"].dropna()
    assert set(errors.index) == {"pill/a.jpg", "pill/cut.png", "pill/empty.png", "pill.tar", "pill.tar/1.png"}
    assert errors["pill/empty.png"] == "empty file" and "damaged tar file" in errors["pill.tar"]
    assert dict(done.now.errors) == errors.to_dict()
    assert "left out as no images: 1 .txt" in capfd.readouterr().err


def test_other_settings_or_words_are_refused(folder, tmp_path):
    run = tmp_path / "run"
    quick(folder, run, prompt="thing")
    for options in ({"prompt": "other"}, {"prompt": "thing", "tile": 32}):
        with pytest.raises(ZsadError, match="holds another run"):
            quick(folder, run, **options)
    with pytest.raises(ZsadError, match="holds another run"):
        quick(folder, run, dataclasses.replace(QUICK, seed=3), prompt="thing")
    (tmp_path / "words.csv").write_text("key,prompt\nwood/000.png,oak\n")
    with pytest.raises(ZsadError, match="wood/000.png: listed as thing .archive., the table of prompts now says oak"):
        quick(folder, run, prompt="thing", prompts=str(tmp_path / "words.csv"))


def test_sources_that_hold_nothing_or_the_same_twice(images, tmp_path):
    with pytest.raises(ZsadError, match="nowhere: no such directory or file"):
        quick(tmp_path / "nowhere", tmp_path / "run")
    write(tmp_path / "texts", {"a.txt": b"x"})
    with pytest.raises(ZsadError, match="texts: no images there, nor tar or Parquet files"):
        quick(tmp_path / "texts", tmp_path / "run")
    rows = pd.DataFrame({"key": ["x", "x"], "image": [images["pill/000.png"]] * 2})
    write(tmp_path / "twice", {"a.parquet": rows.to_parquet()})
    with pytest.raises(ZsadError, match="x: two images of this key"):
        quick(tmp_path / "twice", tmp_path / "run", prompt="thing")
    with pytest.raises(UsageError, match="--overlap 2"):
        quick(tmp_path / "twice", tmp_path / "run", overlap=2)


def test_a_run_within_its_archive_is_not_part_of_it(images, tmp_path):
    write(tmp_path, {"pill/1.png": images["pill/000.png"]})
    for there in (1, 2):
        assert quick(tmp_path, tmp_path / "runs" / "first", name="own").there == there
        write(tmp_path, {"pill/2.png": images["pill/001.png"]})


def test_other_runs_within_an_archive_are_not_part_of_it(images, tmp_path):
    write(tmp_path, {"pill/1.png": images["pill/000.png"]})
    quick(tmp_path, tmp_path / "runs" / "first", name="own")
    assert quick(tmp_path, tmp_path.with_name("second"), name="own").there == 1


def test_a_call_that_could_not_list_anything_leaves_nothing_in_the_way(images, tmp_path):
    write(tmp_path / "archive", {"1.png": images["pill/000.png"]})
    rows = pd.DataFrame({"picture": [images["pill/001.png"]]})
    write(tmp_path / "archive", {"a.parquet": rows.to_parquet()})
    with pytest.raises(UsageError, match="1.png: nothing says what it shows; add --prompt"):
        quick(tmp_path / "archive", tmp_path / "run")
    with pytest.raises(UsageError, match="no column image; .*--image-column"):
        quick(tmp_path / "archive", tmp_path / "run", prompt="pill")
    assert quick(tmp_path / "archive", tmp_path / "run", prompt="pill", image_column="picture").there == 2


def test_a_run_over_benchmarks_is_left_alone(folder, tmp_path):
    content = {"settings": {}, "benchmarks": {}, "versions": {}, "shards": "shards", "command": []}
    storage.write_json(str(tmp_path / "run" / "run.json"), content)
    with pytest.raises(ZsadError, match="not a run of `zsad score`"):
        quick(folder, tmp_path / "run", prompt="thing")
    assert storage.read_json(str(tmp_path / "run" / "run.json")) == content


def test_the_next_day_name_and_prompt_need_not_be_said_again(folder, images, tmp_path):
    first = quick(folder, tmp_path / "run", prompt="thing", name="line 3")
    write(folder, {"late.png": images["pill/000.png"]})
    again = quick(folder, tmp_path / "run")
    assert (first.there, again.there, again.now.images) == (46, 47, 1)
    assert set(frame_of(tmp_path / "run")["prompt"]) == {"thing"}


def test_what_is_gone_is_said_and_stays(folder, tmp_path, capfd):
    quick(folder, tmp_path / "run", prompt="thing")
    (folder / "pill" / "001.png").unlink()
    assert quick(folder, tmp_path / "run").there == 46
    assert "46 images, 0 of them new; 1 not there any more, whose scores stay" in capfd.readouterr().err


def test_a_table_and_a_prompt_for_the_others(folder, tmp_path, capfd):
    (tmp_path / "words.csv").write_text("category;prompt\npill;white pill\nnut;nut\n")
    table = str(tmp_path / "words.csv")
    quick(folder, tmp_path / "run", prompt="thing", prompts=table)
    frame = frame_of(tmp_path / "run")
    assert frame.groupby("category")["prompt"].unique().map(list).to_dict() == {
        "pill": ["white pill"], "archive": ["thing"],
    }  # fmt: skip
    assert "the table of prompts has nut, of which there is no image" in capfd.readouterr().err
    quick(folder, tmp_path / "other", prompts=table)
    assert "the table of prompts has no row for wood" in capfd.readouterr().err


def test_originals_of_one_file_and_of_an_archive_that_was_moved(images, folder, tmp_path):
    (tmp_path / "tars").mkdir()
    write_tar(tmp_path / "tars" / "a.tar", {"1.png": images["pill/003.png"]})
    for source, moved in ((tmp_path / "tars" / "a.tar", False), (folder, True)):
        run = tmp_path / f"run of {source.name}"
        quick(source, run, prompt="thing")
        if moved:
            shutil.move(source, tmp_path / "elsewhere")
            quick(tmp_path / "elsewhere", run)
        origin = origin_of_run(str(run), storage.read_json(str(run / "run.json")))
        for path in files_of(run):
            frame = pd.read_parquet(path)
            found = original_images(origin, "any", path.name, frame.set_index("key")["sha256"].to_dict())
            assert list(found) == frame["key"].tolist()


@pytest.mark.parametrize(
    "run", [{}, {"archive": {}}, {"archive": 3, "source": "x"}, {"archive": {"image_column": "x"}}]
)
def test_a_run_that_does_not_say_where_its_images_lie(run):
    assert origin_of_run("run", run) == Origin()
    with pytest.raises(ZsadError, match="it is not known where the original images are"):
        original_images(Origin(), "any", "0000000-00000.parquet", {})


def test_the_original_images_are_found_again(images, folder, tmp_path):
    write_tar(folder / "more.tar", {"nut/1.png": images["pill/003.png"]})
    run = tmp_path / "run"
    quick(folder, run)
    origin, found = origin_of_run(str(run), storage.read_json(str(run / "run.json"))), {}
    for path in files_of(run):
        hashes = pd.read_parquet(path).set_index("key")["sha256"].to_dict()
        found |= original_images(origin, "archive", path.name, hashes)
    assert found == {**images, "more.tar/nut/1.png": images["pill/003.png"]}
    (folder / "pill" / "001.png").write_bytes(b"another")
    first = min(files_of(run)).name
    hashes = pd.read_parquet(min(files_of(run))).set_index("key")["sha256"].to_dict()
    assert "pill/001.png" not in original_images(origin, "archive", first, hashes)


def test_the_same_numbers_as_evaluate_and_how_sure_the_model_is(settings, tmp_path):
    rows = rows_of("drawn", "pill", normal=4, anomalous=4)
    write_packed(tmp_path / "shards", "drawn", rows, shard_size=8)
    write(tmp_path / "archive", {f"{row['key']}.png": row["image"] for row in rows})
    evaluate(str(tmp_path / "shards"), str(tmp_path / "evaluated"), settings, [settings.checkpoint], actors=1)
    score(str(tmp_path / "archive"), str(tmp_path / "scored"), settings, [settings.checkpoint], actors=1)
    evaluated, scored = (frame_of(tmp_path / name).set_index("sha256").sort_index() for name in ("evaluated", "scored"))
    for name in ("score_text", "score_map", "score", "anomaly_map"):
        assert evaluated[name].equals(scored[name]), name
    assert evaluated["score_std"].isna().all() and evaluated["anomaly_map_std"].isna().all()
    assert scored["score_std"].between(1e-6, 0.5).all()
    deviation = [map_codec.decode(blob, 98, 98) for blob in scored["anomaly_map_std"]]
    assert 0 < np.mean(deviation) / 65535 < 0.5


def test_tiles_are_scored_as_images_and_put_together(tmp_path):
    """Each tile by the scorer alone; the image's score is that of the most suspicious one."""
    image = np.asarray(Image.open(io.BytesIO(rows_of("drawn", "wood", 0, 1, size=300)[0]["image"])).convert("RGB"))
    image = np.concatenate([image, image[:, ::-1]], axis=1)[:200]
    small = rows_of("d", "wood", 1, 0)[0]["image"]
    write(tmp_path / "archive", {"wood/wide.png": encoded(image), "wood/small.png": small})
    quick(tmp_path / "archive", tmp_path / "run", dataclasses.replace(QUICK, map_size=32), tile=100)
    row = frame_of(tmp_path / "run").loc["wood/wide.png"]
    tiling = tiling_of(200, 600, 100, 0.25, 32)
    assert (row["map_height"], row["map_width"]) == (tiling.height, tiling.width) == (64, 192)
    assert (row["height"], row["width"]) == (200, 600)

    scorer = Scorer(dataclasses.replace(QUICK, map_size=32))
    tiles = tile_pixels(Image.fromarray(image), tiling, 64)
    alone = [scorer.score(tile[None], ["wood"], ["0" * 64], [False]) for tile in tiles]
    most = max(alone, key=lambda scores: scores.score[0])
    assert (row["score"], row["score_map"]) == (most.score[0], most.map[0])
    expected = assembled([scores.codes[0] for scores in alone], tiling, 0.25)
    assert np.array_equal(map_codec.decode(row["anomaly_map"], 64, 192), expected)

    small_row = frame_of(tmp_path / "run").loc["wood/small.png"]
    whole = scorer.score(square(small, 64)[None], [""], [""], [False])
    assert (small_row["score"], small_row["map_height"]) == (whole.score[0], 32)
