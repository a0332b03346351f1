"""Layouts whose folders say what an image is, read from a list of file names alone."""

import pytest

from tests.zsad_core.trees import samples_of, table_of, tree
from zsad_core.benchmarks.layouts import DIRECTORY, list_samples
from zsad_core.benchmarks.table import benchmark, benchmark_from_toml, own_benchmark
from zsad_core.errors import ZsadError


def test_mvtec():
    listing = list_samples(
        benchmark("MVTec-AD"),
        tree(
            "grid/license.txt",
            "grid/train/good/000.png",
            "grid/test/good/000.png",
            "grid/test/bent/000.png",
            "grid/test/bent/001.png",
            "grid/test/bent/002.png",
            "grid/ground_truth/bent/000_mask.png",
            "grid/ground_truth/bent/001.png",
            "metal_nut/test/flip/000.png",
            "metal_nut/ground_truth/flip/000_mask.png",
            "readme.txt",
        ),
    )
    assert (listing.layout, listing.mask_threshold) == ("mvtec", 128)
    assert table_of(listing.samples) == {
        "grid/test/bent/000.png": ("grid", "bent", 1, "grid/ground_truth/bent/000_mask.png"),
        "grid/test/bent/001.png": ("grid", "bent", 1, "grid/ground_truth/bent/001.png"),
        "grid/test/bent/002.png": ("grid", "bent", 1, None),
        "grid/test/good/000.png": ("grid", "good", 0, None),
        "metal_nut/test/flip/000.png": ("metal_nut", "flip", 1, "metal_nut/ground_truth/flip/000_mask.png"),
    }
    assert [sample.prompt for sample in listing.samples] == ["grid"] * 4 + ["metal nut"]


def test_a_mask_with_the_suffix_goes_before_one_named_as_the_image():
    for first in ("000_mask.png", "000.png"):
        masks = ["grid/ground_truth/bent/000.png", "grid/ground_truth/bent/000_mask.png"]
        masks.sort(key=lambda path: not path.endswith(first))
        (sample,) = samples_of("MVTec-AD", "grid/test/bent/000.png", *masks)
        assert sample.mask == "grid/ground_truth/bent/000_mask.png"


def test_own_data_in_mvtec_layout():
    listing = list_samples(own_benchmark("sweets"), tree("dark_cookie/test/good/a.JPG", "dark_cookie/test/chip/b.tif"))
    assert [(each.category, each.prompt, each.label) for each in listing.samples] == [
        ("dark_cookie", "dark cookie", 1),
        ("dark_cookie", "dark cookie", 0),
    ]


def test_a_category_that_is_not_in_the_table():
    with pytest.raises(
        ZsadError, match=r"cookie is no category of MVTec-AD \(known: bottle, .*zipper\).*--layout mvtec"
    ):
        samples_of("MVTec-AD", "grid/test/good/000.png", "cookie/test/good/000.png")


def test_images_at_another_depth_are_not_passed_over():
    for path in ("grid/test/000.png", "grid/test/good/day1/000.png"):
        with pytest.raises(ZsadError, match=f"{path}: not in the layout <category>/test/<defect>/<image>"):
            samples_of("MVTec-AD", "grid/test/good/000.png", path)


def test_one_category_given_as_source():
    with pytest.raises(ZsadError, match="give the folder above"):
        samples_of("MVTec-AD", "test/good/000.png")


def test_a_directory_where_an_image_should_be():
    found = samples_of("MVTec-AD", "grid/test/good/003.png/inner.png", "grid/test/good/004.png")
    assert [(each.key, each.error) for each in found] == [
        ("grid/test/good/003.png", DIRECTORY),
        ("grid/test/good/004.png", None),
    ]


def test_yes_no():
    found = samples_of("Br35H", "yes/y0.jpg", "no/no0.jpg", "pred/pred0.jpg", "yes/notes.txt")
    assert table_of(found) == {"no/no0.jpg": ("brain", "good", 0, None), "yes/y0.jpg": ("brain", "anomaly", 1, None)}


def test_yes_no_deeper_and_twice():
    assert len(samples_of("Br35H", "data/yes/y0.jpg", "data/no/no0.jpg")) == 2
    assert len(samples_of("Br35H", "yes/y0.jpg", "no/no0.jpg", "data/yes/y0.jpg", "data/no/no0.jpg")) == 2
    with pytest.raises(ZsadError, match="a, b; give one of them"):
        samples_of("Br35H", "a/yes/1.png", "a/no/1.png", "b/yes/1.png", "b/no/1.png")


@pytest.mark.parametrize(
    ("name", "images", "masks"),
    [
        ("CVC-ColonDB", "images", "masks"),
        ("CVC-ClinicDB", "Original", "Ground Truth"),
        ("Kvasir", "Kvasir-SEG/images", "Kvasir-SEG/masks"),
    ],
)
def test_pairs_match_by_stem(name, images, masks):
    found = samples_of(
        name, f"{images}/1.tif", f"{images}/2.jpg", f"{images}/3.png", f"{masks}/1.png", f"{masks}/2.TIF"
    )
    assert table_of(found) == {
        f"{images}/1.tif": ("colon", "anomaly", 1, f"{masks}/1.png"),
        f"{images}/2.jpg": ("colon", "anomaly", 1, f"{masks}/2.TIF"),
        f"{images}/3.png": ("colon", "anomaly", 1, None),
    }


def test_nothing_found_says_what_was_looked_for():
    for name, looked_for in [
        ("MVTec-AD", "<category>/test/<defect>/<image>"),
        ("HeadCT", "labels.csv and head_ct/NNN.png"),
        ("Br35H", "folders no and yes"),
        ("Kvasir", "images and masks or Original and Ground Truth"),
        ("VisA", "split_csv/1cls.csv"),
        ("BTAD", "<category>/test/<defect>/<image>"),
        ("KSDD2", "test/NNNNN.png and test/NNNNN_GT.png"),
        ("RSDD", "Type-I RSDDs dataset/Rail surface images or Type-II"),
        ("DAGM", "<class>/Test/<image>"),
        ("ISIC", "ISBI2016_ISIC_Part1_Test_Data and ISBI2016_ISIC_Part1_Test_GroundTruth"),
    ]:
        with pytest.raises(ZsadError, match=f"{name}: no images found there.*{looked_for}"):
            samples_of(name, "other/000.png", "readme.txt")


def test_samples_are_sorted_by_category_and_key():
    paths = [
        f"{category}/test/{defect}/{n}.png" for category in ("wood", "grid") for defect in ("good", "a") for n in "21"
    ]
    found = samples_of("MVTec-AD", *paths)
    assert [(each.category, each.key) for each in found] == sorted((path.split("/")[0], path) for path in paths)


def test_the_layout_may_begin_in_an_outer_folder():
    for name, paths in [
        ("MVTec-AD", ["grid/test/good/0.png", "grid/test/bent/0.png", "grid/ground_truth/bent/0_mask.png"]),
        ("Br35H", ["no/no0.jpg", "yes/y0.jpg"]),
        ("Kvasir", ["images/a.jpg", "masks/a.jpg"]),
    ]:
        direct = samples_of(name, *paths)
        deeper = samples_of(name, *(f"data/Outer-1.0/{path}" for path in paths), "data/readme.txt", "data/x.png")
        assert [each.key for each in deeper] == [f"data/Outer-1.0/{each.key}" for each in direct]
        assert [each.mask and each.mask.removeprefix("data/Outer-1.0/") for each in deeper] == [
            each.mask for each in direct
        ]
    with pytest.raises(ZsadError, match="several folders hold .*: a, b; give one of them as SOURCE"):
        samples_of("MVTec-AD", "a/grid/test/good/0.png", "b/grid/test/good/0.png")


def test_folder_names_in_another_spelling():
    found = samples_of("CVC-ClinicDB", "PNG/original/1.png", "PNG/Ground_Truth/1.PNG")
    assert [(each.key, each.mask) for each in found] == [("PNG/original/1.png", "PNG/Ground_Truth/1.PNG")]
    (sample,) = samples_of("MVTec-AD", "grid/Test/bent/0.PNG", "grid/Ground-Truth/bent/0_mask.png")
    assert sample.mask == "grid/Ground-Truth/bent/0_mask.png"


def test_own_data_in_layouts_of_one_category():
    for layout, paths in [
        ("yes-no", ["no/a.png", "yes/b.png"]),
        ("pairs", ["images/a.png", "masks/a.png"]),
    ]:
        found = list_samples(own_benchmark("old_bolts", layout), tree(*paths)).samples
        assert {(each.category, each.prompt) for each in found} == {("old_bolts", "old bolts")}
    assert [each.label for each in found] == [1]


def test_own_categories_that_a_file_describes():
    text = 'name = "sweets"\nlayout = "%s"\n[categories."d 01"]\nname = "dark"\nprompt = "dark chocolate"\n'
    described = benchmark_from_toml(text % "mvtec", "sweets.toml")
    (sample,) = list_samples(described, tree("d 01/test/good/0.png")).samples
    assert (sample.category, sample.prompt) == ("dark", "dark chocolate")
    for folder in ("milk", "dark"):  # neither its folder nor, for that matter, another's name
        with pytest.raises(
            ZsadError, match=rf'{folder} is no category of sweets .*add \[categories."{folder}"\] to its'
        ):
            list_samples(described, tree("d 01/test/good/0.png", f"{folder}/test/good/0.png"))
    one = benchmark_from_toml(text % "yes-no", "sweets.toml")
    assert {each.category for each in list_samples(one, tree("no/a.png", "yes/b.png")).samples} == {"dark"}
    two = benchmark_from_toml(text % "pairs" + "[categories.milk]\n", "sweets.toml")
    with pytest.raises(ZsadError, match=r"sweets: the layout pairs holds one category, not several \(dark, milk\)"):
        list_samples(two, tree("images/a.png", "masks/a.png"))


def test_file_names_that_are_not_utf8():
    with pytest.raises(ZsadError, match="not UTF-8; rename it"):
        samples_of("MVTec-AD", "grid/test/good/\udcff.png")


def test_files_beside_images_without_an_image_name_are_named():
    source = tree("grid/test/good/0.png", "grid/test/good/1.heic", "grid/readme.txt")
    assert list_samples(benchmark("MVTec-AD"), source).remarks == [
        "files beside the images that have no image's name and are not read: 1 (grid/test/good/1.heic)"
    ]


UNREAD = "folders with images that are neither test images nor masks of any and are not read: "


@pytest.mark.parametrize(
    ("layout", "paths", "unread"),
    [
        ("mvtec", ["a/test/crack/0.png", "a/masks/crack/0_mask.png"], "1 (a/masks/crack/)"),
        ("mvtec", ["a/test/good/0.png", "b/good/0.png", "1.png"], "2 (./, b/good/)"),
        (
            "mvtec",
            ["a/test/good/0.png", *(f"{n}/test good/0.png" for n in range(4))],
            "4 (0/test good/, 1/test good/, ",
        ),
        ("pairs", ["images/1.png", "masks/2.png"], "1 (masks/)"),
        ("yes-no", ["no/1.png", "yes/1.png", "deeper/no/1.png", "Nein/1.png"], "2 (Nein/, deeper/no/)"),
        ("mvtec", ["a/test/crack/0.png", "a/ground_truth/crack/0_mask.png", "a/train/good/0.png"], None),
        ("mvtec", ["a/test/crack/0.png", "a/ground_truth/crack/0.png", "a/Train/0.png", "training/b/1.png"], None),
    ],
)
def test_folders_whose_images_are_passed_over_are_named(layout, paths, unread):
    remarks = list_samples(own_benchmark("sweets", layout), tree(*paths)).remarks
    assert [remark.startswith(UNREAD + unread) for remark in remarks] == [True] if unread else remarks == []


def test_names_of_folders_that_are_categories_are_said():
    with pytest.raises(ZsadError, match=r"04 is no category of BTAD \(known: 01 or metal1, 03 or metal2, 02 or wood"):
        samples_of("BTAD", "04/test/ok/0.bmp")
