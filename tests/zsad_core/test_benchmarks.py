"""The table's published facts, names, variants, and data of one's own."""

import pytest

from zsad_core.benchmarks.table import benchmark, benchmarks, own_benchmark
from zsad_core.errors import UsageError


def test_there_are_15_with_16042_test_images():
    table = benchmarks()
    assert len({each.name for each in table}) == len(table) == 15
    assert sum(each.test_images for each in table) == 16_042


def test_published_sizes():
    sizes = {
        "MVTec-AD": 1725,
        "VisA": 2162,
        "BTAD": 741,
        "HeadCT": 200,
        "Br35H": 3000,
        "CVC-ColonDB": 380,
        "Kvasir": 1000,
    }
    assert {name: benchmark(name).test_images for name in sizes} == sizes
    assert [len(benchmark(name).categories) for name in ("MVTec-AD", "VisA", "DAGM")] == [15, 12, 7]


def test_facts_of_one_benchmark():
    mvtec = benchmark("mvtec-ad")
    assert (mvtec.name, mvtec.meta_key, mvtec.auxiliary, mvtec.mask_threshold) == ("MVTec-AD", "mvtec", "VisA", 128)
    assert mvtec.levels == ("image", "pixel") and mvtec.layout == "mvtec" and mvtec.published
    grid = mvtec.category("grid")
    assert (grid.prompt, grid.test_normal, grid.test_anomalous, grid.small_defect) == ("grid", 21, 57, False)
    assert mvtec.category("screw").small_defect and mvtec.category("metal_nut").prompt == "metal nut"
    assert mvtec.category("cookie") is None


def test_small_defects_are_the_published_ones():
    small = {category.name for each in benchmarks() for category in each.categories if category.small_defect}
    assert small == {"capsules", "macaroni1", "macaroni2", "pipe_fryum", "screw", "cashew", "chewinggum"}


def test_no_benchmark_is_its_own_auxiliary_set():
    assert all(each.auxiliary != each.name and benchmark(each.auxiliary) for each in benchmarks())


def test_source_names_lead_to_categories():
    assert benchmark("BTAD").category("02").name == "wood"
    assert benchmark("DAGM").category("Class8").name == "Fabric8"


def test_brain_mri_has_two_test_lists():
    listed, everything = benchmark("BrainMRI"), benchmark("BrainMRI", "all")
    assert (listed.variant, listed.test_images, everything.variant, everything.test_images) == (
        "bayes-pfl",
        153,
        "all",
        253,
    )
    assert [len(listed.test_list[label]) for label in (0, 1)] == [85, 68]
    assert everything.test_list is None


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="MVTec-AD, VisA, .*Kvasir"):
        benchmark("MVTec")
    with pytest.raises(UsageError, match="bayes-pfl, all"):
        benchmark("BrainMRI", "cops")
    with pytest.raises(UsageError, match="one test list only"):
        benchmark("HeadCT", "all")


def test_own_data_takes_folder_names():
    cookies = own_benchmark("cookies")
    category = cookies.category("dark_chocolate")
    assert (category.name, category.prompt, category.test_normal) == ("dark_chocolate", "dark chocolate", None)
    assert (cookies.published, cookies.auxiliary, cookies.mask_threshold, cookies.layout) == (False, None, 128, "mvtec")


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a=b", "HeadCT", "headct"])
def test_own_names_that_would_confuse_are_refused(name):
    with pytest.raises(UsageError, match="--name"):
        own_benchmark(name)


def test_own_layouts():
    assert own_benchmark("cookies", "curated").layout == "curated"
    with pytest.raises(UsageError, match="mvtec, curated"):
        own_benchmark("cookies", "visa")
