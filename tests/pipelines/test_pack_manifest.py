"""What packing says of a source in its manifest: equal files, owners' copies, what is left out, expected counts."""

import json

import pytest

from tests.pipelines.made_up_source import cookies, mask, packed, packed_rows, photo
from zsad_core.benchmarks.table import benchmark, benchmark_from_toml
from zsad_core.errors import ZsadError

pytestmark = pytest.mark.usefixtures("without_ray")


def test_files_with_the_same_bytes_are_a_remark(tmp_path):
    files = cookies(good=4)
    files["cookie/test/good/003.png"] = files["cookie/test/good/002.png"] = files["cookie/test/good/000.png"]
    files |= {"cookie/test/good/empty.png": b"", "cookie/test/good/empty-too.png": b""}  # no image, so not equal ones
    manifest = packed(tmp_path, files, shard_size=2)
    good = "cookie/test/good/00"
    assert manifest["duplicates"] == 2
    assert manifest["warnings"][2:] == [
        f"2 of 6 files have the same bytes as another: {good}0.png = {good}2.png, {good}0.png = {good}3.png"
    ]


def test_equal_files_neither_make_a_pack_incomplete_nor_are_refused(tmp_path):
    files = cookies()
    files["cookie/test/crack/000.png"] = files["cookie/test/good/000.png"]
    manifest = packed(tmp_path, files, strict=True)
    assert manifest["complete"] and manifest["duplicates"] == 1
    one, two = "cookie/test/crack/000.png", "cookie/test/good/000.png"
    assert manifest["warnings"] == [
        f"1 of 5 files have the same bytes as another: {one} = {two}",
        f"1 files have the bytes of another but not its label: {one} (anomalous) = {two} (normal)",
    ]


def test_ksdd2_from_its_owners(tmp_path):
    files = {f"test/{n}.png": photo() for n in range(4)}
    files |= {"test/0_GT.png": mask(), "test/1_GT.png": mask(value=0), "test/2_GT.png": mask()[:50]}
    manifest = packed(tmp_path, files, benchmark("KSDD2"))
    rows = packed_rows(tmp_path / "shards", "KSDD2")
    assert rows["label"].tolist() == [1, 0, None, None] and rows["error"].isna().all()
    assert rows["mask"].notna().tolist() == [True, True, False, False]
    assert rows["mask_error"].notna().tolist() == [False, False, True, True]
    assert rows.loc["test/3.png", "mask_error"] == "no mask, which would tell whether the image is normal"
    curated_only = [line for line in manifest["warnings"] if "hold on the authors' curated copy only" in line]
    assert len(curated_only) == 1 and not manifest["complete"]
    assert manifest["warnings"][1] == (
        "Metal: expected 356 normal and 356 anomalous test images, found 1 and 1, and 2 without a label"
    )
    with pytest.raises(ZsadError, match="(?s)refused by --strict, nothing was written:.*expected 356.*owners' copy"):
        packed(tmp_path / "strict", files, benchmark("KSDD2"), strict=True)


def test_a_curated_copy_of_ksdd2_is_what_the_counts_hold_on(tmp_path):
    rows = [{"img_path": "a.png", "mask_path": "", "anomaly": 0}]
    files = {"a.png": photo(), "meta.json": json.dumps({"test": {"Metal": rows}}).encode()}
    manifest = packed(tmp_path, files, benchmark("KSDD2"))
    assert not any("curated copy only" in line for line in manifest["warnings"])


def test_dagm_says_what_it_leaves_out(tmp_path):
    files = {f"Class{n}/Test/0001.PNG": photo() for n in (1, 6)}
    files["Class1/Test/Label/Labels.txt"] = b"1\n1 0 0001.PNG 0 0\n"
    manifest = packed(tmp_path, files, benchmark("DAGM"))
    assert len(packed_rows(tmp_path / "shards", "DAGM")) == 1
    assert (
        "image files left out, in folders that are no part of DAGM (Class6, Class9, Class10): 1" in manifest["warnings"]
    )


def test_own_data_with_counts_that_are_expected(tmp_path):
    text = """
name = "sweets"
layout = "mvtec"
domain = "food"
levels = ["image"]
auxiliary = "MVTec-AD"
categories.cookie = {name = "biscuit", prompt = "round biscuit", small_defect = true, test_normal = 3}
categories.cake = {test_normal = 1, test_anomalous = 1}
categories.bread = {}
"""
    files = cookies(3, 2) | {"cake/test/good/0.png": photo()}
    manifest = packed(tmp_path, files, benchmark_from_toml(text, "sweets.toml"))
    assert manifest["warnings"] == [
        "cake: expected 1 normal and 1 anomalous test images, found 1 and 0",
        "no test images of 1 of 3 categories: bread",
    ]
    assert not manifest["complete"]
    assert [manifest[key] for key in ("domain", "levels", "auxiliary", "mask_threshold")] == [
        "food",
        ["image"],
        "MVTec-AD",
        None,
    ]
    biscuit = manifest["categories"]["biscuit"]
    assert [biscuit[key] for key in ("prompt", "small_defect", "expected_normal", "expected_anomalous")] == [
        "round biscuit",
        True,
        3,
        None,
    ]
    assert set(packed_rows(tmp_path / "shards", "sweets")["prompt"]) == {"round biscuit", "cake"}
