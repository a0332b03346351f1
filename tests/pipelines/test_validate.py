"""Every bad file shows up in one report, each with its place; a sound source and sound shards have an empty one."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.pack import pack
from pipelines.shards import SHARD_SCHEMA
from pipelines.validate import validate
from tests.drawn_source import draw_mvtec
from tests.pictures import encoded
from zsad_core.benchmarks.table import benchmark, benchmark_from_toml, own_benchmark
from zsad_core.errors import UsageError, ZsadError

pytestmark = pytest.mark.usefixtures("without_ray")
OWN = own_benchmark("drawn")
SHARD = "drawn/test-00000-of-00002.parquet"


@pytest.fixture
def source(tmp_path):
    draw_mvtec(str(tmp_path / "source"), ["wood", "pill"], normal=3, anomalous=3, size=48)
    return tmp_path / "source"


@pytest.fixture
def shards(source, tmp_path):
    pack(OWN, str(source), str(tmp_path / "shards"), shard_size=6)
    return tmp_path / "shards"


def problems(report):
    return [(each.file, each.row, each.problem) for each in report.problems]


def test_a_sound_source_and_sound_shards(source, shards):
    for report, kind in ((validate(str(source), OWN), "source"), (validate(str(shards)), "shards")):
        assert (report.kind, report.images, report.problems) == (kind, 12, [])
    assert validate(str(shards / "drawn")).images == 12


def test_every_bad_file_of_a_source_in_one_report(source):
    good, masks = source / "wood/test/good", source / "wood/ground_truth"
    (good / "000.png").write_bytes(b"")
    (good / "001.png").write_bytes((good / "001.png").read_bytes()[:900])
    (good / "003.png").mkdir()
    (good / "004.png").write_text("no image")
    black = Image.new("L", (48, 48))
    black.save(masks / "hole/000_mask.png")
    black.crop((0, 0, 40, 48)).save(masks / "scratch/000_mask.png")
    (masks / "stain/000_mask.png").unlink()
    report = validate(str(source), OWN)
    assert report.images == 14
    expected = [
        ("wood/ground_truth/hole/000_mask.png", None, "mask of an anomalous image is all black"),
        ("wood/ground_truth/scratch/000_mask.png", None, "mask is 40 x 48, the image 48 x 48"),
        ("wood/test/good/000.png", None, "empty file"),
        ("wood/test/good/001.png", None, "truncated"),
        ("wood/test/good/003.png", None, "a directory where an image file should be"),
        ("wood/test/good/004.png", None, "not an image"),
        ("wood/test/stain/000.png", None, "no mask of an anomalous image"),
    ]
    found = problems(report)
    assert [each[:2] for each in found] == [each[:2] for each in expected]
    assert all(problem.startswith(start) for (_, _, problem), (_, _, start) in zip(found, expected, strict=True))


def test_counts_and_keys_of_a_source(tmp_path):
    entry = {"img_path": "a.png", "mask_path": "", "cls_name": "candle", "specie_name": "good", "anomaly": 0}
    missing = entry | {"img_path": "b.png"}
    (tmp_path / "meta.json").write_text(json.dumps({"test": {"candle": [entry, entry, missing]}}))
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    report = validate(str(tmp_path), benchmark("VisA"))
    found = [(each.file, each.key, each.problem) for each in report.problems]
    assert ("b.png", "b.png", "listed, but there is no such file (meta.json: test, candle, entry 3)") in found
    twice = ("meta.json: test, candle, entry 2", "a.png", "the same sample as meta.json: test, candle, entry 1")
    assert twice in found
    assert (".", None, "candle: expected 100 normal and 100 anomalous test images, found 2 and 0") in found
    assert any(problem.startswith("no test images of 11 of 12 categories") for _, _, problem in found)


def change_rows(path, change):
    """Rewrite a shard after change(rows), and the manifest's entry so that the file itself is the one it names."""
    rows = pq.read_table(path).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=SHARD_SCHEMA), path)
    manifest_path = path.parent / "manifest.json"
    manifest = json.loads(manifest_path.read_text())
    for file in manifest["files"]:
        if file["name"] == path.name:
            file |= {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "rows": len(rows)}
    manifest_path.write_text(json.dumps(manifest))


def png(height, width, value=0):
    return encoded(np.full((height, width), value, np.uint8))


def test_every_bad_row_of_a_shard(shards):
    def damage(rows):
        cut = rows[1]["image"][:500]
        rows[0]["image"] = rows[0]["image"] + b"x"
        rows[1] |= {"image": cut, "sha256": hashlib.sha256(cut).hexdigest()}
        rows[2]["height"] = 7
        for row, mask in zip(rows[3:], (png(48, 48), png(40, 48, 255), None), strict=True):
            row |= {"label": 1, "mask": mask}

    change_rows(shards / SHARD, damage)
    found = [each for each in problems(validate(str(shards))) if each[1] is not None]
    assert [(file, row) for file, row, _ in found] == [(SHARD, row) for row in range(6)]
    starts = [
        "the image is not the one of its sha256",
        "truncated",
        "the image is 48 x 48, its row says 48 x 7",
        "mask: mask of an anomalous image is all black",
        "mask: mask is 48 x 40, the image 48 x 48",
        "no mask of an anomalous image",
    ]
    assert all(problem.startswith(start) for (_, _, problem), start in zip(found, starts, strict=True))


def test_keys_that_two_rows_have_and_counts_that_moved(shards):
    def double(rows):
        rows[1] |= {name: rows[0][name] for name in ("key", "category", "label", "image", "mask", "sha256")}
        rows.append(rows[0])

    change_rows(shards / SHARD, double)
    found = problems(validate(str(shards)))
    assert [(file, row) for file, row, problem in found if problem == f"the same key as row 0 of {SHARD}"] == [
        (SHARD, 1),
        (SHARD, 6),
    ]
    assert any(file == "drawn/manifest.json" and "rows, manifest.json says 3" in problem for file, _, problem in found)


def test_what_was_wrong_with_the_source_is_reported_of_its_shards(source, tmp_path):
    (source / "wood/test/good/000.png").write_bytes(b"")
    (source / "wood/ground_truth/hole/000_mask.png").unlink()
    pack(OWN, str(source), str(tmp_path / "shards"))
    found = sorted(problem for _, _, problem in problems(validate(str(tmp_path / "shards"))))
    assert found == [
        "no usable image in the source: empty file",
        "no usable mask in the source: no mask of an anomalous image",
    ]


def test_damaged_missing_and_foreign_files(shards):
    first, second = sorted((shards / "drawn").glob("*.parquet"))
    first.write_bytes(first.read_bytes()[:1000])
    second.unlink()
    (shards / "drawn/more.parquet").write_bytes(b"")
    found = problems(validate(str(shards)))
    assert [(file, row) for file, row, _ in found] == [
        ("drawn/more.parquet", None),
        (SHARD, None),
        (SHARD, None),
        ("drawn/test-00001-of-00002.parquet", None),
    ]
    assert found[0][2] == "not in manifest.json" and "not a whole Parquet file" in found[1][2]
    assert "its sha256 differs" in found[2][2] and "cannot be read (FileNotFoundError)" in found[3][2]


def test_packs_without_a_manifest_or_with_a_damaged_one(shards):
    manifest = shards / "drawn/manifest.json"
    manifest.write_text("{")
    assert [(file, "not valid JSON" in text) for file, _, text in problems(validate(str(shards)))] == [
        ("drawn/manifest.json", True)
    ]
    manifest.unlink()
    assert [(file, "interrupted" in text) for file, _, text in problems(validate(str(shards)))] == [("drawn", True)]


def test_shards_of_a_partial_benchmark(tmp_path):
    draw_mvtec(str(tmp_path / "source"), ["grid"], normal=2, anomalous=3, size=32)
    pack(benchmark("MVTec-AD"), str(tmp_path / "source"), str(tmp_path / "shards"))
    found = problems(validate(str(tmp_path / "shards")))
    assert found[0] == (
        "MVTec-AD/manifest.json",
        None,
        "grid: expected 21 normal and 57 anomalous test images, found 2 and 3",
    )
    assert len(found) == 2 and found[1][2].startswith("no test images of 14 of 15 categories")


def test_places_where_there_is_nothing_to_validate(tmp_path, source):
    with pytest.raises(UsageError, match="no shards there; raw images need their benchmark"):
        validate(str(source))
    with pytest.raises(ZsadError, match="no such directory"):
        validate(str(tmp_path / "nowhere"), OWN)
    with pytest.raises(ZsadError, match="nowhere: no such directory"):
        validate(str(tmp_path / "nowhere"))
    with pytest.raises(ZsadError, match="000.png: a file, not a directory"):
        validate(str(source / "wood/test/good/000.png"))


def test_a_list_of_nothing_is_a_problem(tmp_path):
    (tmp_path / "meta.json").write_text('{"test": {"a": []}}')
    assert problems(validate(str(tmp_path), own_benchmark("sweets", "curated"))) == [
        (".", None, "its list names no test images")
    ]


def copy(source, one, two):
    (source / two).write_bytes((source / one).read_bytes())


def test_equal_images_within_and_across_benchmarks_are_remarks(source, tmp_path):
    copy(source, "wood/test/good/000.png", "wood/test/good/002.png")
    pack(OWN, str(source), str(tmp_path / "shards"), shard_size=5)
    other = tmp_path / "other"
    for folder in ("no", "yes"):
        (other / folder).mkdir(parents=True)
    (other / "no/a.png").write_bytes((source / "wood/test/good/000.png").read_bytes())
    Image.new("RGB", (8, 8)).save(other / "yes/b.png")
    pack(own_benchmark("another", "yes-no"), str(other), str(tmp_path / "shards"))
    within = "1 of 12 files have the same bytes as another: wood/test/good/000.png = wood/test/good/002.png"
    report = validate(str(tmp_path / "shards"))
    assert report.problems == [] and report.images == 14
    assert report.remarks == [
        f"drawn: {within}",
        "another and drawn have 1 images in common: no/a.png = wood/test/good/000.png",
    ]
    report = validate(str(source), OWN)
    assert (report.problems, report.remarks) == ([], [f"drawn: {within}"])


def test_equal_images_of_different_labels_are_problems(source, tmp_path):
    copy(source, "wood/test/good/000.png", "wood/test/hole/000.png")
    (tmp_path / "other/yes").mkdir(parents=True)
    (tmp_path / "other/no").mkdir()
    copy(tmp_path, "source/pill/test/good/001.png", "other/yes/a.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "other/no/b.png")
    pack(OWN, str(source), str(tmp_path / "shards"), shard_size=20)
    pack(own_benchmark("zoo", "yes-no"), str(tmp_path / "other"), str(tmp_path / "shards"))
    rows = pq.read_table(tmp_path / "shards/drawn/test-00000-of-00001.parquet").column("key").to_pylist()
    hole = rows.index("wood/test/hole/000.png")
    said = "wood/test/good/000.png, the same bytes, is normal"
    assert problems(validate(str(tmp_path / "shards"))) == [
        ("drawn/test-00000-of-00001.parquet", hole, f"anomalous, but {said}"),
        (
            "zoo/test-00000-of-00001.parquet",
            1,
            "anomalous, but pill/test/good/001.png of drawn, the same bytes, is normal",
        ),
    ]
    assert problems(validate(str(source), OWN)) == [("wood/test/hole/000.png", None, f"anomalous, but {said}")]


def test_counts_that_a_description_expects_are_checked_in_its_shards(source, tmp_path):
    text = 'name = "drawn"\nlayout = "mvtec"\n[categories.wood]\ntest_normal = 9\n[categories.pill]\n'
    pack(benchmark_from_toml(text, "a.toml"), str(source), str(tmp_path / "shards"))
    line = "wood: expected 9 normal and any number of anomalous test images, found 3 and 3"
    assert problems(validate(str(tmp_path / "shards"))) == [("drawn/manifest.json", None, line)]
    assert problems(validate(str(source), benchmark_from_toml(text, "a.toml"))) == [(".", None, line)]


def test_remarks_on_an_owners_copy(tmp_path):
    (tmp_path / "test").mkdir()
    for name, value in (("1", 7), ("1_GT", 0), ("2", 9), ("2_GT", 255)):
        (tmp_path / f"test/{name}.png").write_bytes(png(4, 4, value))
    (tmp_path / "test/3.png").write_bytes(png(4, 4))
    (tmp_path / "test/3_GT.png").write_bytes(b"")
    report = validate(str(tmp_path), benchmark("KSDD2"))
    assert [line for line in report.remarks if "curated copy only" in line] == report.remarks
    assert problems(report)[1:] == [("test/3_GT.png", None, "empty file")]
