"""The table's published facts, names, variants, and data of one's own."""

import pytest

from zsad_core.benchmarks.layouts import LAYOUTS
from zsad_core.benchmarks.table import (
    OWN_LAYOUTS,
    Category,
    benchmark,
    benchmark_from_toml,
    benchmarks,
    own_benchmark,
)
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
    assert mvtec.levels == ("image", "pixel") and mvtec.layout == "mvtec" and not mvtec.own
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
    assert (cookies.own, cookies.auxiliary, cookies.mask_threshold, cookies.layout) == (True, None, 128, "mvtec")
    assert cookies.levels == () and cookies.domain == "own"
    assert cookies.single_category.prompt == "cookies"


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a=b", "HeadCT", "headct", "all", "ALL"])
def test_own_names_that_would_confuse_are_refused(name):
    with pytest.raises(UsageError, match="--name"):
        own_benchmark(name)


def test_own_layouts():
    assert own_benchmark("cookies", "curated").layout == "curated"
    assert set(OWN_LAYOUTS) <= set(LAYOUTS)
    with pytest.raises(
        UsageError, match="--layout dagm: unknown. Known: mvtec, btad, yes-no, pairs, ksdd2, visa, curated"
    ):
        own_benchmark("cookies", "dagm")


def test_every_benchmark_is_read_in_its_owners_layout():
    assert {each.name: each.layout for each in benchmarks()} == {
        "MVTec-AD": "mvtec",
        "VisA": "visa",
        "BTAD": "btad",
        "KSDD2": "ksdd2",
        "RSDD": "rsdd",
        "DAGM": "dagm",
        "DTD-Synthetic": "mvtec",
        "HeadCT": "headct",
        "BrainMRI": "yes-no",
        "Br35H": "yes-no",
        "ISIC": "isic",
        "CVC-ColonDB": "pairs",
        "CVC-ClinicDB": "pairs",
        "Endo": "pairs",
        "Kvasir": "pairs",
    }
    assert {each.layout for each in benchmarks()} <= set(LAYOUTS)


def test_where_published_figures_hold():
    assert [each.name for each in benchmarks() if each.published_on == "curated"] == ["KSDD2", "RSDD", "DAGM"]
    dagm = benchmark("DAGM")
    assert {*dagm.source_names, *dagm.left_out} == {f"Class{n}" for n in range(1, 11)}


DESCRIPTION = """
name = "cookies"
layout = "mvtec"
domain = "food"
levels = ["pixel", "image"]
auxiliary = "visa"
mask_threshold = 0

[categories.dark_01]
name = "dark"
prompt = "dark chocolate cookie"
small_defect = true
test_normal = 31
test_anomalous = 32

[categories.milk_cookie]
"""


def test_own_data_as_a_file_describes_it():
    cookies = benchmark_from_toml(DESCRIPTION, "cookies.toml")
    assert (cookies.name, cookies.layout, cookies.domain, cookies.own) == ("cookies", "mvtec", "food", True)
    assert (cookies.levels, cookies.auxiliary, cookies.mask_threshold) == (("image", "pixel"), "VisA", 0)
    assert cookies.category("dark_01") == Category("dark", "dark chocolate cookie", 31, 32, small_defect=True)
    assert cookies.category("milk_cookie") == Category("milk_cookie", "milk cookie")
    assert cookies.category("dark") is None and cookies.category("white") is None


def test_a_short_description_is_what_the_options_are():
    for layout in OWN_LAYOUTS:
        described = benchmark_from_toml(f'name = "a"\nlayout = "{layout}"\n', "a.toml")
        assert described == own_benchmark("a", layout)
    assert benchmark_from_toml('name="a"\nlayout="pairs"\nmask_threshold=7', "a.toml") == own_benchmark("a", "pairs", 7)


SHORT = 'name = "a"\nlayout = "mvtec"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "my.toml: not valid TOML"),
        ('name = "a"\nname = "b"\n', "my.toml: not valid TOML"),
        ("", "my.toml: name: missing"),
        ('name = "a"\n', "my.toml: layout: missing"),
        ('layout = "mvtec"\n', "my.toml: name: missing"),
        ('name = "a/b"\nlayout = "mvtec"\n', "my.toml: name 'a/b': use letters"),
        ('name = "visa"\nlayout = "mvtec"\n', "my.toml: name visa: a benchmark of the table has this name"),
        ('name = "a"\nlayout = "rsdd"\n', "my.toml: layout rsdd: unknown. Known: mvtec, btad"),
        ('name = 5\nlayout = "mvtec"\n', "my.toml: name: 5 is not a text"),
        (SHORT + "lavels = []\n", "my.toml: lavels: unknown key. Known: name, layout, domain, levels"),
        (SHORT + 'domain = ""\n', "my.toml: domain: '' makes no sense"),
        (SHORT + 'levels = "image"\n', "my.toml: levels: 'image' is not a list"),
        (SHORT + "levels = []\n", r"my.toml: levels \[\]: needs one or both of image, pixel"),
        (SHORT + 'levels = ["pixels"]\n', "my.toml: levels .*needs one or both of image, pixel"),
        (SHORT + "levels = [[1], {}]\n", "my.toml: levels .*needs one or both of image, pixel"),
        (SHORT + 'auxiliary = "VisB"\n', "my.toml: auxiliary VisB: no benchmark of the table .MVTec-AD, VisA"),
        (SHORT + "mask_threshold = true\n", "my.toml: mask_threshold: True is not a whole number"),
        (SHORT + "mask_threshold = 1.5\n", "my.toml: mask_threshold: 1.5 is not a whole number"),
        (SHORT + "mask_threshold = 255\n", "my.toml: mask_threshold 255: a grey value from 0 to 254"),
        (SHORT + "mask_threshold = -1\n", "my.toml: mask_threshold -1: a grey value from 0 to 254"),
        (SHORT + "categories = []\n", "my.toml: categories: .* is not a table"),
        (SHORT + 'categories.dark = "x"\n', "my.toml: categories.dark: 'x' is not a table"),
        (
            SHORT + "[categories.dark]\nprompts = 1\n",
            "my.toml: categories.dark.prompts: unknown key. Known: name, prompt",
        ),
        (SHORT + "[categories.dark]\nprompt = 1\n", "my.toml: categories.dark.prompt: 1 is not a text"),
        (SHORT + '[categories.dark]\nprompt = ""\n', "my.toml: categories.dark.prompt: '' makes no sense"),
        (SHORT + "[categories.dark]\ntest_normal = -1\n", "my.toml: categories.dark.test_normal: -1 makes no sense"),
        (SHORT + "[categories.dark]\ntest_normal = '1'\n", "categories.dark.test_normal: '1' is not a whole number"),
        (SHORT + "[categories.dark]\nsmall_defect = 1\n", "categories.dark.small_defect: 1 is not true or false"),
        (SHORT + "[categories.a]\n[categories.b]\nname = 'a'\n", "categories.b.name a: another category has this name"),
    ],
)
def test_descriptions_that_make_no_sense(text, message):
    with pytest.raises(UsageError, match=message):
        benchmark_from_toml(text, "my.toml")
