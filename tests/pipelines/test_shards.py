"""Shard files and manifests: written alike every time, read by plain tools, refused with a reason when they do not
fit."""

import hashlib
import json
import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import parquet
from pipelines.shards import SHARD_SCHEMA, find_manifests, is_shard_name, read_shard, shard_name, write_shard
from zsad_core.errors import UsageError, ZsadError


def row(key, **changed):
    image = key.encode() * 50
    return {
        "key": key,
        "benchmark": "drawn",
        "category": "wood",
        "prompt": "wood",
        "split": "test",
        "defect": "good",
        "label": 0,
        "image": image,
        "mask": None,
        "height": 4,
        "width": 5,
        "sha256": hashlib.sha256(image).hexdigest(),
        "error": None,
        "mask_error": None,
    } | changed


ROWS = [
    row("b.png"),
    row("a.png", label=1, mask=b"mask"),
    row("c.png", label=None, image=None, sha256=None, error="gone"),
]


def packed(root, name="drawn", rows=ROWS):
    entry = write_shard(f"{root}/{name}/{shard_name('test', 0, 1)}", rows)
    manifest = {
        "benchmark": name,
        "levels": ["image"],
        "auxiliary": None,
        "mask_threshold": None,
        "files": [entry],
        "categories": {"wood": {"prompt": "wood", "small_defect": False, "normal": 1, "anomalous": 1}},
        "complete": True,
        "warnings": [],
    }
    (root / name / "manifest.json").write_text(json.dumps(manifest))
    return entry


def test_rows_come_back_in_order_for_us_and_for_plain_pandas(tmp_path):
    entry = write_shard(f"{tmp_path}/{shard_name('test', 3, 12)}", ROWS)
    path = tmp_path / "test-00003-of-00012.parquet"
    assert read_shard(str(path), entry).to_pylist() == ROWS
    frame = pd.read_parquet(path)
    assert frame["key"].tolist() == ["b.png", "a.png", "c.png"]
    assert frame["image"][0] == ROWS[0]["image"] and frame["label"].isna().tolist() == [False, False, True]


def test_equal_rows_give_equal_bytes_and_the_entry_describes_them(tmp_path):
    one, two = (write_shard(f"{tmp_path}/{folder}/{shard_name('test', 0, 1)}", ROWS) for folder in "ab")
    content = (tmp_path / "a" / one["name"]).read_bytes()
    assert one == two and content == (tmp_path / "b" / one["name"]).read_bytes()
    assert (one["rows"], one["bytes"], one["sha256"]) == (3, len(content), hashlib.sha256(content).hexdigest())


def test_images_lie_in_the_file_as_they_are(tmp_path):
    entry = write_shard(f"{tmp_path}/{shard_name('test', 0, 1)}", ROWS)
    assert ROWS[0]["image"] in (tmp_path / entry["name"]).read_bytes()


def test_shard_names():
    assert shard_name("test", 0, 12) == "test-00000-of-00012.parquet"
    for name in ("test-00000-of-00012.parquet", ".test-00000-of-00012.parquet.0af3.tmp", shard_name("test", 9, 123456)):
        assert is_shard_name(name)
    for name in ("manifest.json", "notes.parquet", "test-00000-of-00012.parquet.bak"):
        assert not is_shard_name(name)


def test_a_shard_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ZsadError, match="cannot be written"):
        write_shard(f"{tmp_path}/file/{shard_name('test', 0, 1)}", ROWS)


def test_files_that_are_no_shards_are_refused_by_name(tmp_path):
    path = tmp_path / shard_name("test", 0, 1)
    entry = write_shard(str(path), ROWS)
    whole = path.read_bytes()

    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ZsadError, match=f"{path}: not a whole Parquet file"):
        read_shard(str(path))
    with pytest.raises(ZsadError, match=f"{path}: not the file that manifest.json names.*--overwrite"):
        read_shard(str(path), entry)
    path.write_bytes(b"")
    with pytest.raises(ZsadError, match=f"{path}: not a whole Parquet file"):
        read_shard(str(path))
    path.unlink()
    with pytest.raises(ZsadError, match=f"{path}: no such file"):
        read_shard(str(path))
    path.mkdir()
    with pytest.raises(ZsadError, match=f"{path}: cannot be read"):
        read_shard(str(path))


def test_damage_inside_the_file_is_found(tmp_path):
    path = tmp_path / shard_name("test", 0, 1)
    write_shard(str(path), ROWS)
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(content)
    with pytest.raises(ZsadError, match=f"{path}: not a whole Parquet file"):
        read_shard(str(path))


def test_columns_that_are_missing_or_of_another_type(tmp_path):
    path = tmp_path / "test.parquet"
    table = pa.Table.from_pylist(ROWS, schema=SHARD_SCHEMA)
    pq.write_table(table.drop_columns(["sha256"]), path)
    with pytest.raises(ZsadError, match="no shard, it has no column sha256"):
        read_shard(str(path))
    pq.write_table(table.set_column(6, "label", table["label"].cast("string")), path)
    with pytest.raises(ZsadError, match="column label is string, not int8"):
        read_shard(str(path))


def test_finding_packed_benchmarks(tmp_path):
    for name in ("wood", "drawn"):
        packed(tmp_path, name)
    (tmp_path / "notes").mkdir()
    found = find_manifests(str(tmp_path))
    assert [(each.uri, each.manifest["benchmark"]) for each in found] == [
        (f"{tmp_path}/{name}", name) for name in ("drawn", "wood")
    ]
    assert [each.manifest["benchmark"] for each in find_manifests(str(tmp_path), ["WOOD"])] == ["wood"]
    (own,) = find_manifests(str(tmp_path / "wood"))
    assert read_shard(own.shard_uri(own.manifest["files"][0]), own.manifest["files"][0]).num_rows == 3


def test_names_that_differ_in_case_only_are_two_benchmarks(tmp_path):
    for name in ("wood", "Wood"):
        packed(tmp_path, name)
    assert [each.manifest["benchmark"] for each in find_manifests(str(tmp_path))] == ["Wood", "wood"]
    assert [each.manifest["benchmark"] for each in find_manifests(str(tmp_path), ["wood", "wood"])] == ["wood"]
    with pytest.raises(UsageError, match="WOOD: not one of the benchmarks packed"):
        find_manifests(str(tmp_path), ["WOOD"])


def test_a_copied_folder_is_not_taken_for_another_benchmark(tmp_path):
    packed(tmp_path)
    shutil.copytree(tmp_path / "drawn", tmp_path / "old")
    with pytest.raises(ZsadError, match="old: holds the shards of drawn"):
        find_manifests(str(tmp_path))


def test_nothing_packed(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ZsadError, match="no shards there; pack first: zsad pack"):
            find_manifests(str(root))


def test_a_benchmark_that_is_not_packed(tmp_path):
    packed(tmp_path)
    with pytest.raises(UsageError, match=r"HeadCT: not one of the benchmarks packed in .* \(drawn\)"):
        find_manifests(str(tmp_path), ["HeadCT"])


def test_an_interrupted_pack_is_refused_unless_others_are_asked_for(tmp_path):
    packed(tmp_path)
    packed(tmp_path, "wood")
    (tmp_path / "wood" / "manifest.json").unlink()
    with pytest.raises(ZsadError, match="wood: shards without manifest.json, its packing was interrupted"):
        find_manifests(str(tmp_path))
    assert len(find_manifests(str(tmp_path), ["drawn"])) == 1


def test_a_missing_shard_file(tmp_path):
    entry = packed(tmp_path)
    (tmp_path / "drawn" / entry["name"]).unlink()
    with pytest.raises(ZsadError, match=f"drawn/{entry['name']}: no such file, but manifest.json names it"):
        find_manifests(str(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]", '{"benchmark": "drawn"}'])
def test_a_damaged_manifest(tmp_path, text):
    packed(tmp_path)
    (tmp_path / "drawn" / "manifest.json").write_text(text)
    with pytest.raises(ZsadError, match="drawn/manifest.json: not "):
        find_manifests(str(tmp_path))


ODD_KEYS = [
    "a folder/b c.png", "\u00fc", "u\u0308", "two\nlines", "-x", "--all", "../../etc/passwd", "/etc/passwd", "k" * 300, "'\"\\%*?",
    "\U0001f9ea \u202e",
]  # fmt: skip


def test_keys_of_any_characters_come_back(tmp_path):
    rows = [row(key) for key in ODD_KEYS]
    entry = write_shard(f"{tmp_path}/{shard_name('test', 0, 1)}", rows)
    assert read_shard(f"{tmp_path}/{entry['name']}", entry).to_pylist() == rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": None}, "row 1 has no prompt"),
        ({"image": None}, "row 1 has neither an image with its sha256 nor an error"),
        ({"sha256": None}, "row 1 has neither an image with its sha256 nor an error"),
        ({"label": 7}, "row 1 has a label that is not 0, 1 or null"),
    ],
)
def test_rows_that_break_the_contract(tmp_path, change, message):
    nullable = pa.schema([field.with_nullable(True) for field in SHARD_SCHEMA])
    path = tmp_path / "test.parquet"
    pq.write_table(pa.Table.from_pylist([row("a"), row("b", **change)], schema=nullable), path)
    with pytest.raises(ZsadError, match=f"{path}: no shard, {message}; pack this benchmark again"):
        read_shard(str(path))


def test_a_shard_that_would_decode_to_too_much(tmp_path, monkeypatch):
    path = tmp_path / "test.parquet"
    table = pa.Table.from_pylist([row(str(i), prompt="x" * 5000) for i in range(500)], schema=SHARD_SCHEMA)
    pq.write_table(table, path, compression="zstd")
    monkeypatch.setattr(parquet, "MAX_BYTES", 2**20)
    with pytest.raises(ZsadError, match=f"{path}: not a whole Parquet file .*bytes that decode to more than"):
        read_shard(str(path))


def in_file(**change):
    return lambda manifest: manifest["files"][0].update(change)


def in_category(**change):
    return lambda manifest: manifest["categories"]["wood"].update(change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *((in_file(name=name), "files, entry 1: name is .*, not a plain file name") for name in (
            "../test.parquet", "/etc/test.parquet", "a/b.parquet", "a\\b.parquet", "..", "", ".x.parquet", "a\n.parquet", "a\0.parquet",
            "memory://a.parquet", "a::b.parquet", "test.txt", 5, None,
        )),
        *((in_file(rows=rows), "files, entry 1: rows is .*, not a whole number") for rows in (-1, 1.5, "3", True, None, 10**30)),
        (in_file(bytes=-1), "bytes is -1"),
        (in_file(sha256="x"), "sha256 is 'x', not a sha256"),
        (lambda manifest: manifest["files"].append(manifest["files"][0]), "two of its files have one name"),
        (lambda manifest: manifest.update(files={"a": 1}), "files is .*, not a list"),
        (lambda manifest: manifest.update(files=[3]), "files, entry 1 is no object"),
        *((lambda manifest, name=name: manifest.update(benchmark=name), "benchmark is .*, not a plain name") for name in (
            "..", "../x", "a/b", "/x", "", 3, None, ["x"],
        )),
        (in_category(prompt=3), "category 'wood': prompt is 3, not a text"),
        (in_category(prompt="\ud800"), "surrogates"),
        (in_category(normal=-1), "category 'wood': normal is -1"),
        (in_category(expected_normal="many"), "expected_normal is 'many'"),
        (in_category(small_defect="no"), "small_defect is 'no', not true or false"),
        (lambda manifest: manifest["categories"].update(x=None), "category 'x' is no object"),
        (lambda manifest: manifest.update(levels=["other"]), "levels is"),
        (lambda manifest: manifest.update(warnings=[1]), "warnings is"),
        (lambda manifest: manifest.update(auxiliary=1), "auxiliary is 1"),
    ],
)  # fmt: skip
def test_manifests_that_lead_elsewhere_or_make_no_sense(tmp_path, change, message):
    packed(tmp_path)
    path = tmp_path / "drawn" / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(ZsadError, match=f"drawn/manifest.json: not a manifest of shards .*{message}.*--overwrite"):
        find_manifests(str(tmp_path))


def test_a_manifest_of_many_brackets(tmp_path):
    packed(tmp_path)
    (tmp_path / "drawn" / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(ZsadError, match="drawn/manifest.json: not valid JSON .maximum recursion depth exceeded"):
        find_manifests(str(tmp_path))
