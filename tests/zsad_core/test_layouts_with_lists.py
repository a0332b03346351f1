"""Layouts whose images a list names: HeadCT's labels, BrainMRI's test list, the meta.json of a curated copy."""

import json

import pytest

from tests.zsad_core.trees import samples_of, table_of, tree
from zsad_core.benchmarks.layouts import DIRECTORY, MISSING, duplicates, list_samples
from zsad_core.benchmarks.table import benchmark, own_benchmark
from zsad_core.errors import ZsadError

HEADCT = {"labels.csv": "id, hemorrhage\n0,1\n1,0\n\n2, 1\n"}


@pytest.mark.parametrize(
    ("labels", "images"),
    [
        ("labels.csv", "head_ct"),
        ("labels.csv", "head_ct/head_ct"),
        ("head_ct/labels.csv", "head_ct/head_ct"),
    ],
)
def test_headct_at_every_depth(labels, images):
    found = samples_of("HeadCT", *(f"{images}/{n:03d}.png" for n in range(3)), texts={labels: HEADCT["labels.csv"]})
    assert [(each.key, each.label, each.prompt) for each in found] == [
        (f"{images}/000.png", 1, "head ct"),
        (f"{images}/001.png", 0, "head ct"),
        (f"{images}/002.png", 1, "head ct"),
    ]


def test_headct_missing_unlabelled_and_directory():
    found = samples_of("HeadCT", "head_ct/001.png/", "head_ct/002.png", "head_ct/007.png", texts=HEADCT)
    assert {each.key: (each.label, each.error) for each in found} == {
        "head_ct/000.png": (1, MISSING + " (labels.csv line 2)"),
        "head_ct/001.png": (0, DIRECTORY),
        "head_ct/002.png": (1, None),
        "head_ct/007.png": (None, None),
    }


def test_headct_labels_without_a_line_of_names():
    found = samples_of("HeadCT", *(f"head_ct/{n:03d}.png" for n in range(2)), texts={"labels.csv": "0,1\n1,0\n"})
    assert [(each.label, each.place) for each in found] == [(1, "labels.csv line 1"), (0, "labels.csv line 2")]


def test_headct_bad_label_names_its_line():
    with pytest.raises(ZsadError, match="labels.csv line 3: '1,yes'"):
        samples_of("HeadCT", "head_ct/000.png", texts={"labels.csv": "id,h\n0,1\n1,yes\n"})


def test_headct_listed_twice():
    found = samples_of("HeadCT", "head_ct/000.png", texts={"labels.csv": "id,h\n0,1\n0,0\n"})
    ((earlier, later),) = duplicates(found)
    assert (earlier.place, later.place) == ("labels.csv line 2", "labels.csv line 3")


def test_brain_mri_takes_its_listed_images():
    listed = benchmark("BrainMRI").test_list
    paths = [f"no/{stem}.jpeg" for stem in listed[0]] + [f"yes/{stem}.JPG" for stem in listed[1]]
    unlisted = ["no/1 no.jpeg", "yes/Y1.jpg"]
    found = samples_of("BrainMRI", *paths, *unlisted)
    assert sorted(each.key for each in found) == sorted(paths)
    everything = list_samples(benchmark("BrainMRI", "all"), tree(*paths, *unlisted)).samples
    assert sorted(each.key for each in everything) == sorted(paths + unlisted)


def test_a_listed_image_that_is_missing_is_a_sample_with_an_error():
    found = samples_of("BrainMRI", "no/10 no.jpg", "yes/Y100.JPG")
    assert len(found) == 153 and sum(each.error is None for each in found) == 2
    assert {each.error for each in found if each.error} == {MISSING}


def meta(test, name="meta.json"):
    return {name: json.dumps({"train": {}, "test": test})}


def entry(image, mask="", anomaly=0, defect="good"):
    return {"img_path": image, "mask_path": mask, "cls_name": "candle", "specie_name": defect, "anomaly": anomaly}


def test_curated_copy():
    texts = meta({"candle": [entry("candle/b.png", "candle/b_mask.png", 1, "bad"), entry("./candle\\a.png")]})
    listing = list_samples(benchmark("VisA"), tree("candle/b.png", "candle/a.png", "candle/b_mask.png", texts=texts))
    assert (listing.layout, listing.mask_threshold) == ("curated", 0)
    assert table_of(listing.samples) == {
        "candle/a.png": ("candle", "good", 0, None),
        "candle/b.png": ("candle", "bad", 1, "candle/b_mask.png"),
    }
    assert listing.samples[1].place == "meta.json: test, candle, entry 1"


def test_curated_copy_goes_before_the_owners_layout():
    texts = meta({"grid": [entry("grid/test/good/000.png")]})
    found = samples_of("MVTec-AD", "grid/test/good/000.png", "grid/test/good/001.png", texts=texts)
    assert [each.key for each in found] == ["grid/test/good/000.png"]


def test_own_data_keeps_the_layout_that_it_was_given():
    source = tree("cookie/test/good/0.png", "x.png", texts=meta({"cookie": [entry("x.png")]}))
    assert [each.key for each in list_samples(own_benchmark("sweets"), source).samples] == ["cookie/test/good/0.png"]
    assert [each.key for each in list_samples(own_benchmark("sweets", "curated"), source).samples] == ["x.png"]


def test_several_lists_in_a_curated_copy():
    both = meta({"grid": [entry("a.png")]}, "meta_mvtec.json") | meta({"candle": [entry("b.png")]}, "meta_visa.json")
    assert [each.key for each in samples_of("VisA", "a.png", "b.png", texts=both)] == ["b.png"]
    with pytest.raises(ZsadError, match="several lists of samples: meta_mvtec.json, meta_visa.json"):
        samples_of("HeadCT", "a.png", "b.png", texts=both)


def test_curated_category_that_is_not_in_the_table():
    with pytest.raises(ZsadError, match="meta.json: test, grid, entry 1: grid is no category of VisA"):
        samples_of("VisA", "a.png", texts=meta({"grid": [entry("a.png")]}))


def test_curated_listed_image_that_is_missing_or_a_directory():
    found = samples_of("VisA", "c.png/", texts=meta({"candle": [entry("b.png"), entry("c.png")]}))
    assert [(each.key, each.error) for each in found] == [
        ("b.png", MISSING + " (meta.json: test, candle, entry 1)"),
        ("c.png", DIRECTORY),
    ]


def test_curated_key_listed_twice_is_found_in_another_spelling():
    found = samples_of("VisA", "a.png", texts=meta({"candle": [entry("a.png"), entry("./a.png", "", 1)]}))
    ((earlier, later),) = duplicates(found)
    assert earlier.key == later.key == "a.png"
    assert (earlier.place, later.place) == ("meta.json: test, candle, entry 1", "meta.json: test, candle, entry 2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "meta.json: not a list of samples"),
        ("[]", "meta.json: not a list of samples"),
        ('{"train": {}}', "meta.json: not a list of samples"),
        ('{"test": {"candle": [{"img_path": "a.png"}]}}', "entry 1: needs img_path, mask_path and anomaly"),
        ('{"test": {"candle": [{"img_path": 5, "anomaly": 0}]}}', "entry 1: needs img_path"),
        ('{"test": {"candle": [{"img_path": "a.png", "anomaly": "1"}]}}', "entry 1: anomaly is '1'"),
        ('{"test": {"candle": [{"img_path": "../a.png", "anomaly": 0}]}}', "does not lie inside the source"),
        ('{"test": {"candle": [{"img_path": "/a.png", "anomaly": 0}]}}', "does not lie inside the source"),
    ],
)
def test_curated_lists_that_make_no_sense(text, message):
    with pytest.raises(ZsadError, match=message):
        samples_of("VisA", "a.png", texts={"meta.json": text})


def test_headct_in_an_outer_folder():
    found = samples_of("HeadCT", "a/head_ct/head_ct/000.png", texts={"a/head_ct/labels.csv": "id,h\r\n0,1\r\n"})
    assert [(each.key, each.label, each.place) for each in found] == [
        ("a/head_ct/head_ct/000.png", 1, "a/head_ct/labels.csv line 2")
    ]


def test_the_list_of_a_curated_copy_is_no_file_that_was_passed_over():
    text = json.dumps({"test": {"a": [{"img_path": "a.png", "anomaly": 0}]}})
    assert list_samples(own_benchmark("sweets", "curated"), tree("a.png", texts={"meta.json": text})).remarks == []


def test_numbers_longer_than_any_image_s():
    for table in ("id,h\n" + "9" * 5000 + ",1\n", "0,1\n" + "9" * 5000 + ",1\n"):
        with pytest.raises(ZsadError, match="labels.csv line 2: '9999"):
            samples_of("HeadCT", "head_ct/000.png", texts={"labels.csv": table})


@pytest.mark.parametrize("path", ["../a.png", "/a.png", "a/../../b.png", "..\\a.png", "a\0.png", "..", ""])
def test_listed_paths_outside_of_the_source(path):
    with pytest.raises(ZsadError, match="meta.json: test, candle, entry 1: the path .* does not lie inside the source"):
        samples_of("VisA", "a.png", texts=meta({"candle": [entry(path)]}))


def test_a_list_of_many_brackets():
    with pytest.raises(ZsadError, match="meta.json: not a list of samples"):
        samples_of("VisA", "a.png", texts={"meta.json": "[" * 100_000})
