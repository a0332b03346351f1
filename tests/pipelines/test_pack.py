"""Packing drawn sources: bytes kept, counts checked, and every kind of bad file kept as a row that says why."""

import hashlib
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from pipelines.pack import pack
from pipelines.shards import find_manifests
from tests.files import write
from tests.pipelines.made_up_source import SWEETS, cookies, mask, packed, packed_rows, photo
from zsad_core.benchmarks.table import benchmark
from zsad_core.errors import ZsadError

pytestmark = pytest.mark.usefixtures("without_ray")


def test_every_image_is_packed_as_it_was(tmp_path):
    files = cookies()
    manifest = packed(tmp_path, files | {"cookie/train/good/000.png": photo()}, shard_size=2)
    rows = packed_rows(tmp_path / "shards", "sweets")
    images = sorted(path for path in files if "/test/" in path)
    assert rows.index.tolist() == images
    for path in images:
        row = rows.loc[path]
        assert row["image"] == files[path] and row["sha256"] == hashlib.sha256(files[path]).hexdigest()
        assert (row["height"], row["width"], row["error"], row["mask_error"]) == (12, 16, None, None)
        assert row["label"] == int("crack" in path) and row["defect"] == path.split("/")[2]
        assert (row["benchmark"], row["category"], row["prompt"], row["split"]) == (
            "sweets",
            "cookie",
            "cookie",
            "test",
        )
        if row["label"]:
            found = np.asarray(Image.open(io.BytesIO(row["mask"])))
            assert found.dtype == bool and (found == (np.asarray(Image.open(io.BytesIO(mask()))) > 0)).all()
        else:
            assert row["mask"] is None
    assert [file["name"] for file in manifest["files"]] == [f"test-0000{n}-of-00003.parquet" for n in range(3)]
    assert [file["rows"] for file in manifest["files"]] == [2, 2, 1]
    assert manifest["complete"] and manifest["warnings"] == []
    assert json.loads((tmp_path / "shards/sweets/manifest.json").read_text()) == manifest
    (found,) = find_manifests(str(tmp_path / "shards"))
    assert found.manifest == manifest


def test_the_manifest_of_own_data(tmp_path):
    manifest = packed(tmp_path, cookies())
    described = {
        key: manifest[key] for key in ("benchmark", "split", "domain", "levels", "auxiliary", "mask_threshold")
    }
    assert described == {
        "benchmark": "sweets",
        "split": "test",
        "domain": "own",
        "levels": ["image", "pixel"],
        "auxiliary": None,
        "mask_threshold": 128,
    }
    assert (manifest["layout"], manifest["variant"]) == ("mvtec", None)
    assert manifest["categories"] == {
        "cookie": {
            "prompt": "cookie",
            "small_defect": False,
            "normal": 3,
            "anomalous": 2,
            "unlabelled": 0,
            "expected_normal": None,
            "expected_anomalous": None,
            "errors": 0,
            "mask_errors": 0,
        }
    }


def test_the_same_source_gives_the_same_bytes(tmp_path):
    source = write(tmp_path / "source", cookies())
    for root in ("one", "two"):
        pack(SWEETS, source, str(tmp_path / root), shard_size=2)
    names = sorted(path.name for path in (tmp_path / "one/sweets").iterdir())
    assert len(names) == 4 and names == sorted(path.name for path in (tmp_path / "two/sweets").iterdir())
    for name in names:
        assert (tmp_path / "one/sweets" / name).read_bytes() == (tmp_path / "two/sweets" / name).read_bytes()


def test_own_data_without_masks_has_image_level_only(tmp_path):
    files = {path: content for path, content in cookies().items() if "ground_truth" not in path}
    manifest = packed(tmp_path, files)
    assert (manifest["levels"], manifest["mask_threshold"], manifest["warnings"]) == (["image"], None, [])


def test_bad_images_are_rows_that_say_why(tmp_path):
    files = cookies()
    whole = files["cookie/test/good/000.png"]
    bad = {
        "cookie/test/good/empty.png": b"",
        "cookie/test/good/cut.png": whole[: len(whole) // 2],
        "cookie/test/good/text.png": b"this is no image",
    }
    source = write(tmp_path / "source", files | bad | {"cookie/test/good/folder.png/inner.png": whole})
    (tmp_path / "source/cookie/test/good/dead.png").symlink_to("nowhere.png")
    manifest = pack(SWEETS, source, str(tmp_path / "shards"))
    rows = packed_rows(tmp_path / "shards", "sweets")
    reasons = {
        "empty": "empty file",
        "cut": "truncated",
        "text": "not an image",
        "folder": "a directory",
        "dead": "read",
    }
    assert len(rows) == 10 and rows["error"].notna().sum() == 5
    for name, reason in reasons.items():
        row = rows.loc[f"cookie/test/good/{name}.png"]
        assert reason in row["error"] and row["label"] == 0 and row["mask_error"] is None
        assert any(
            line.startswith(f"cookie/test/good/{name}.png: ") and reason in line for line in manifest["warnings"]
        )
    assert rows.loc["cookie/test/good/cut.png", "image"] == bad["cookie/test/good/cut.png"]
    assert rows.loc["cookie/test/good/folder.png", ["image", "sha256", "height"]].isna().all()
    category = manifest["categories"]["cookie"]
    assert (category["normal"], category["errors"], category["mask_errors"]) == (8, 5, 0)
    assert not manifest["complete"]


def test_bad_masks_leave_their_images_usable(tmp_path):
    names = ["size", "black", "empty", "cut", "none", "grey", "fine"]
    files = {"cookie/test/good/000.png": photo()}
    files |= {f"cookie/test/crack/{name}.png": photo() for name in names}
    folder = "cookie/ground_truth/crack"
    files |= {
        f"{folder}/size_mask.png": mask(16, 12),
        f"{folder}/black_mask.png": mask(value=0),
        f"{folder}/empty_mask.png": b"",
        f"{folder}/cut_mask.png": mask()[:60],
        f"{folder}/grey_mask.png": mask(value=128),
        f"{folder}/fine_mask.png": mask(value=129),
    }
    manifest = packed(tmp_path, files)
    rows = packed_rows(tmp_path / "shards", "sweets")
    reasons = {
        "size": "mask is 12 x 16, the image 16 x 12",
        "black": "mask of an anomalous image is all black",
        "empty": "empty file",
        "cut": "",
        "none": "no mask of an anomalous image",
        "grey": "all black",  # 128 is not above the threshold
    }
    assert rows["error"].isna().all() and rows["mask_error"].notna().sum() == len(reasons)
    for name, reason in reasons.items():
        row = rows.loc[f"cookie/test/crack/{name}.png"]
        assert reason in row["mask_error"] and row["mask"] is None and row["height"] == 12
    assert rows.loc["cookie/test/crack/fine.png", "mask"] is not None
    assert manifest["categories"]["cookie"]["mask_errors"] == 6 and manifest["categories"]["cookie"]["errors"] == 0
    assert len(manifest["warnings"]) == 6 and not manifest["complete"]


def test_sizes_are_those_of_the_upright_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {
        "cookie/test/crack/0.png": photo(12, 16, exif=exif),
        "cookie/ground_truth/crack/0_mask.png": mask(16, 12),
        "cookie/test/crack/1.png": photo(12, 16, exif=exif),
        "cookie/ground_truth/crack/1_mask.png": mask(12, 16),
    }
    packed(tmp_path, files)
    rows = packed_rows(tmp_path / "shards", "sweets")
    assert rows["height"].tolist() == [16, 16] and rows["width"].tolist() == [12, 12]
    assert rows["mask_error"].tolist() == [None, "mask is 16 x 12, the image 12 x 16"]


def test_many_bad_files_are_counted_where_they_are_not_listed(tmp_path):
    bad = {f"cookie/test/good/bad{n:02d}.png": b"" for n in range(30)}
    manifest = packed(tmp_path, cookies() | bad)
    assert len(manifest["warnings"]) == 21 and manifest["warnings"][-1] == "and 10 more files that cannot be used"


def test_files_that_are_not_packed(tmp_path):
    others = {
        "cookie/test/good/003.heic": b"x",
        "cookie/test/good/.000.png": b"x",
        "cookie/test/good/Thumbs.db": b"x",
        "__MACOSX/cookie/test/good/._000.png": b"x",
    }
    manifest = packed(tmp_path, cookies() | others)
    assert len(packed_rows(tmp_path / "shards", "sweets")) == 5
    (warning,) = manifest["warnings"]
    assert warning.endswith("are not read: 1 (cookie/test/good/003.heic)")


def headct(images=200):
    labels = "id, hemorrhage\n" + "".join(f"{n},{int(n < 100)}\n" for n in range(200))
    return {"labels.csv": labels.encode()} | {f"head_ct/{n:03d}.png": photo(4, 5) for n in range(images)}


def test_a_complete_benchmark(tmp_path):
    manifest = packed(tmp_path, headct(), benchmark("HeadCT"), strict=True)
    assert manifest["complete"] and manifest["warnings"] == [] and len(manifest["files"]) == 4
    assert (manifest["auxiliary"], manifest["domain"], manifest["levels"]) == ("VisA", "medical", ["image"])
    category = manifest["categories"]["head ct"]
    assert [category[key] for key in ("normal", "anomalous", "expected_normal", "expected_anomalous")] == [100] * 4


def test_a_partial_benchmark_is_packed_with_a_warning_or_refused(tmp_path):
    files = {f"grid/test/good/{n}.png": photo() for n in range(3)}
    files |= {"grid/test/bent/0.png": photo(), "grid/ground_truth/bent/0_mask.png": mask()}
    source = write(tmp_path / "source", files)
    absent = "bottle cable capsule carpet hazelnut leather metal_nut pill screw tile toothbrush transistor wood zipper"
    expected = [
        "grid: expected 21 normal and 57 anomalous test images, found 3 and 1",
        f"no test images of 14 of 15 categories: {', '.join(absent.split())}",
    ]
    with pytest.raises(ZsadError, match="refused by --strict, nothing was written:\n" + expected[0]):
        pack(benchmark("MVTec-AD"), source, str(tmp_path / "shards"), strict=True)
    assert not (tmp_path / "shards").exists()
    manifest = pack(benchmark("MVTec-AD"), source, str(tmp_path / "shards"))
    assert manifest["warnings"] == expected and not manifest["complete"]
    assert manifest["categories"]["grid"]["expected_normal"] == 21


def test_an_excess_copy_is_warned_of(tmp_path):
    files = headct() | {"head_ct/200.png": photo(4, 5)}
    manifest = packed(tmp_path, files, benchmark("HeadCT"))
    assert manifest["warnings"] == [
        "head ct: expected 100 normal and 100 anomalous test images, found 100 and 100, and 1 without a label"
    ]
    assert manifest["categories"]["head ct"]["unlabelled"] == 1


def test_listed_images_that_are_missing(tmp_path):
    manifest = packed(tmp_path, headct(198), benchmark("HeadCT"))
    rows = packed_rows(tmp_path / "shards", "HeadCT")
    assert len(rows) == 200 and rows["error"].notna().sum() == 2
    assert "found 98 and 100" in manifest["warnings"][0] and len(manifest["warnings"]) == 3
    assert manifest["categories"]["head ct"]["errors"] == 2


def curated(entries):
    rows = [
        {"img_path": image, "mask_path": mask_path, "cls_name": "candle", "specie_name": "x", "anomaly": anomaly}
        for image, mask_path, anomaly in entries
    ]
    return {"meta.json": json.dumps({"train": {}, "test": {"candle": rows}}).encode()}


def test_curated_copies_have_masks_of_0_and_more(tmp_path):
    files = {"a.png": photo(), "b.png": photo(), "a_mask.png": mask(value=1), "b_mask.png": mask()}
    files |= curated([("a.png", "a_mask.png", 1), ("b.png", "b_mask.png", 0)])
    manifest = packed(tmp_path, files, benchmark("VisA"))
    rows = packed_rows(tmp_path / "shards", "VisA")
    assert (manifest["layout"], manifest["mask_threshold"]) == ("curated", 0)
    assert rows.loc["a.png", "mask_error"] is None and rows.loc["a.png", "mask"] is not None
    assert rows.loc["b.png", "mask_error"] == "mask of a normal image has anomalous pixels"


def test_two_samples_of_one_key_are_refused(tmp_path):
    files = {"a.png": photo()} | curated([("a.png", "", 0), ("a.png", "", 1)])
    places = "two samples of the key a.png: meta.json: test, candle, entry 1 and meta.json: test, candle, entry 2"
    with pytest.raises(ZsadError, match=places):
        packed(tmp_path, files, benchmark("VisA"))
    assert not (tmp_path / "shards").exists()


def test_nothing_to_pack_is_refused(tmp_path):
    source = write(tmp_path / "source", {"readme.txt": b"nothing"})
    with pytest.raises(ZsadError, match=f"^{source}: sweets: no images found there. Looked for <category>/test"):
        pack(SWEETS, source, str(tmp_path / "shards"))
    with pytest.raises(ZsadError, match="no such directory"):
        pack(SWEETS, str(tmp_path / "nowhere"), str(tmp_path / "shards"))
    listed = write(tmp_path / "listed", curated([("a.png", "", 0), ("b.png", "", 0)]))
    with pytest.raises(ZsadError, match="none of the 2 listed images is there .first: a.png: listed, but"):
        pack(benchmark("VisA"), listed, str(tmp_path / "shards"))
    empty = write(tmp_path / "empty", {"meta.json": b'{"test": {"candle": []}}'})
    with pytest.raises(ZsadError, match="empty: its list names no test images"):
        pack(benchmark("VisA"), empty, str(tmp_path / "shards"))
    assert not (tmp_path / "shards").exists()


def test_a_category_that_is_not_in_the_table_is_refused(tmp_path):
    with pytest.raises(ZsadError, match="cookie is no category of MVTec-AD"):
        packed(tmp_path, cookies(), benchmark("MVTec-AD"))


def test_a_finished_pack_is_kept_unless_told_otherwise(tmp_path):
    source, shards = write(tmp_path / "source", cookies()), str(tmp_path / "shards")
    pack(SWEETS, source, shards, shard_size=1)
    with pytest.raises(ZsadError, match="sweets: holds a finished pack; .*--overwrite"):
        pack(SWEETS, source, shards)
    assert len(list((tmp_path / "shards/sweets").glob("*.parquet"))) == 5
    pack(SWEETS, source, shards, overwrite=True)
    assert sorted(path.name for path in (tmp_path / "shards/sweets").iterdir()) == [
        "manifest.json",
        "test-00000-of-00001.parquet",
    ]


def test_what_an_interrupted_pack_left_is_removed(tmp_path):
    folder = tmp_path / "shards/sweets"
    left = {"test-00007-of-00009.parquet": b"", ".test-00001-of-00009.parquet.0f.tmp": b"", "notes.txt": b"mine"}
    write(folder, left)
    packed(tmp_path, cookies())
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        "notes.txt",
        "test-00000-of-00001.parquet",
    ]


def test_a_target_that_cannot_be_written_is_named(tmp_path):
    source = write(tmp_path / "source", cookies())
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards/sweets").write_text("a file in the way")
    with pytest.raises(ZsadError, match="shards/sweets: a file where the folder of the shards is to be"):
        pack(SWEETS, source, str(tmp_path / "shards"))
    with pytest.raises(ZsadError, match="^[^\n]*shards/sweets: a file where the folder of the shards is to be[^\n]*$"):
        pack(SWEETS, source, str(tmp_path / "shards/sweets"))


def test_sources_and_shards_may_be_uris(tmp_path):
    write(tmp_path / "source", cookies())
    pack(SWEETS, f"file://{tmp_path}/source", f"file://{tmp_path}/shards/")
    shutil.rmtree(tmp_path / "source")
    assert len(packed_rows(tmp_path / "shards", "sweets")) == 5
