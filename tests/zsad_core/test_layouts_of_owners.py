"""The layouts that one owner alone uses: VisA, BTAD, KSDD2, RSDD, DAGM, DTD-Synthetic, ISIC, Endo."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pictures import encoded
from tests.zsad_core.trees import samples_of, table_of, tree
from zsad_core.benchmarks.layouts import MISSING, Tree, duplicates, list_samples
from zsad_core.benchmarks.table import benchmark, own_benchmark
from zsad_core.errors import ZsadError
from zsad_core.images import ImageError

HEADER = "object,split,label,image,mask\n"
CANDLE = "candle/Data/Images"
VISA = HEADER + (
    f"candle,train,normal,{CANDLE}/Normal/0000.JPG,\n"
    f"candle,test,normal,{CANDLE}/Normal/0001.JPG,\n"
    f"candle,test,anomaly,{CANDLE}/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png\n"
    f"candle,test,anomaly,{CANDLE}/Anomaly/001.JPG,candle/Data/Masks/Anomaly/001.png\n"
    f"candle,test,anomaly,{CANDLE}/Anomaly/002.JPG,candle/Data/Masks/Anomaly/002.png\n"
    "pipe_fryum,test,anomaly,pipe_fryum/Data/Images/Anomaly/000.JPG,pipe_fryum/Data/Masks/Anomaly/000.png\n"
)
ANNOTATIONS = (
    "image,label,mask\n"
    f"{CANDLE}/Normal/0001.JPG,normal,\n"
    f"{CANDLE}/Anomaly/000.JPG,weird wick,candle/Data/Masks/Anomaly/000.png\n"
    f'{CANDLE}/Anomaly/001.JPG,"weird wick,melded",candle/Data/Masks/Anomaly/001.png\n'
)


def visa_files(root=""):
    """Every listed file but a mask and an image: one is missing, one has another extension."""
    return [
        f"{root}{CANDLE}/Normal/0000.JPG",
        f"{root}{CANDLE}/Normal/0001.JPG",
        *(f"{root}{CANDLE}/Anomaly/00{n}.JPG" for n in range(3)),
        *(f"{root}candle/Data/Masks/Anomaly/00{n}.png" for n in range(2)),
        f"{root}pipe_fryum/Data/Images/Anomaly/000.jpg",
        f"{root}pipe_fryum/Data/Masks/Anomaly/000.png",
    ]


@pytest.mark.parametrize("root", ["", "VisA_20220922/"])
@pytest.mark.parametrize("spell", [lambda text: text, lambda text: "\ufeff" + text.replace("\n", "\r\n") + "\r\n\r\n"])
def test_visa(root, spell):
    texts = {f"{root}split_csv/1cls.csv": spell(VISA), f"{root}candle/image_anno.csv": spell(ANNOTATIONS)}
    listing = list_samples(benchmark("VisA"), tree(*visa_files(root), texts=texts))
    assert (listing.layout, listing.mask_threshold, listing.remarks) == ("visa", 0, [])
    masks = f"{root}candle/Data/Masks/Anomaly"
    assert table_of(listing.samples) == {
        f"{root}{CANDLE}/Normal/0001.JPG": ("candle", "good", 0, None),
        f"{root}{CANDLE}/Anomaly/000.JPG": ("candle", "weird wick", 1, f"{masks}/000.png"),
        f"{root}{CANDLE}/Anomaly/001.JPG": ("candle", "combined", 1, f"{masks}/001.png"),
        f"{root}{CANDLE}/Anomaly/002.JPG": ("candle", "anomaly", 1, f"{masks}/002.png"),  # packing finds no such mask
        f"{root}pipe_fryum/Data/Images/Anomaly/000.jpg": (
            "pipe_fryum",
            "anomaly",
            1,
            f"{root}pipe_fryum/Data/Masks/Anomaly/000.png",
        ),
    }
    assert all(each.error is None for each in listing.samples)
    first = next(each for each in listing.samples if each.key.endswith("Normal/0001.JPG"))
    assert first.place == f"{root}split_csv/1cls.csv line 3"


def test_visa_listed_image_that_is_missing():
    files = [path for path in visa_files() if not path.endswith("Anomaly/000.JPG")]
    found = samples_of("VisA", *files, texts={"split_csv/1cls.csv": VISA})
    assert [(each.key, each.error) for each in found if each.error] == [
        (f"{CANDLE}/Anomaly/000.JPG", MISSING + " (split_csv/1cls.csv line 4)")
    ]


def test_visa_without_its_list_says_where_that_comes_from():
    with pytest.raises(
        ZsadError, match=r"VisA: SOURCE has no split_csv/1cls.csv.*amazon-science/spot-diff.*put the folder"
    ):
        samples_of("VisA", *visa_files())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1cls.csv line 1: the columns object, split, label, image, mask are missing"),
        ("object,split,image,mask\n", "1cls.csv line 1: the columns label are missing"),
        ("object|split|label|image|mask\n", "the columns object, split, label, image, mask are missing"),
        (HEADER + "candle,test,normal\n", "1cls.csv line 2: 3 cells, the first line names 5 columns"),
        (HEADER + "\ncandle,test,bad,a.png,\n", "1cls.csv line 3: test, bad; train or test, and normal or anomaly"),
        (HEADER + "candle,tset,normal,a.png,\n", "1cls.csv line 2: tset, normal; train or test"),
        (HEADER + "candle,test,normal,,\n", "1cls.csv line 2: the path '' does not lie inside the source"),
        (HEADER + "candle,test,normal,../a.png,\n", "1cls.csv line 2: the path '../a.png' does not lie inside"),
        (HEADER + "candle,test,normal,a/../../a.png,\n", "line 2: the path 'a/../../a.png' does not lie inside"),
        (HEADER + "candle,test,normal,/etc/a.png,\n", "line 2: the path '/etc/a.png' does not lie inside"),
        (HEADER + "candle,test,anomaly,a.png,..\\m.png\n", r"line 2: the path '..\\\\m.png' does not lie inside"),
        (HEADER + "grid,test,normal,a.png,\n", "1cls.csv line 2: grid is no category of VisA"),
        (VISA.encode("utf-16"), "1cls.csv: not UTF-8 text"),
        (HEADER + '"candle' + "x" * 200_000, "1cls.csv line 2: not CSV"),
    ],
)
def test_visa_lists_that_make_no_sense(text, message):
    with pytest.raises(ZsadError, match=message):
        samples_of("VisA", *visa_files(), texts={"split_csv/1cls.csv": text})


def test_visa_list_of_data_of_ones_own():
    text = "mask,image,object,label,split\n,a.png,bolt_m4,normal,test\nm/b.png,b.png,bolt_m4,ANOMALY,Test\n"
    found = list_samples(own_benchmark("bolts", "visa"), tree("a.png", "b.png", texts={"split_csv/1cls.csv": text}))
    assert table_of(found.samples) == {
        "a.png": ("bolt_m4", "good", 0, None),
        "b.png": ("bolt_m4", "anomaly", 1, "m/b.png"),
    }


def test_two_lists_are_not_chosen_between():
    with pytest.raises(ZsadError, match="several lists of samples: a/split_csv/1cls.csv, split_csv/1cls.csv; keep one"):
        samples_of("VisA", texts={"split_csv/1cls.csv": VISA, "a/split_csv/1cls.csv": VISA})


@pytest.mark.parametrize("root", ["", "BTech_Dataset_transformed/"])
def test_btad(root):
    paths = ["01/train/ok/0000.bmp", "01/test/ok/0001.bmp", "01/test/ko/0002.BMP", "01/ground_truth/ko/0002.png"]
    paths += ["02/test/ko/0003.png", "02/ground_truth/ko/0003.png", "03/test/ko/0004.bmp", "03/test/ok/0005.bmp"]
    listing = list_samples(benchmark("BTAD"), tree(*(root + path for path in paths)))
    assert (listing.layout, listing.mask_threshold) == ("btad", 128)
    assert table_of(listing.samples) == {
        f"{root}01/test/ok/0001.bmp": ("metal1", "good", 0, None),
        f"{root}01/test/ko/0002.BMP": ("metal1", "ko", 1, f"{root}01/ground_truth/ko/0002.png"),
        f"{root}02/test/ko/0003.png": ("wood", "ko", 1, f"{root}02/ground_truth/ko/0003.png"),
        f"{root}03/test/ko/0004.bmp": ("metal2", "ko", 1, None),
        f"{root}03/test/ok/0005.bmp": ("metal2", "good", 0, None),
    }


def test_dtd_synthetic():
    found = samples_of(
        "DTD-Synthetic",
        "DTD-Synthetic/Woven_001/test/good/000.png",
        "DTD-Synthetic/Woven_001/test/bad/000.png",
        "DTD-Synthetic/Woven_001/ground_truth/bad/000_mask.png",
    )
    assert [(each.category, each.prompt, each.defect, bool(each.mask)) for each in found] == [
        ("woven5", "woven5", "bad", True),
        ("woven5", "woven5", "good", False),
    ]


BLACK, SPOTTED = np.zeros((4, 3), np.uint8), np.diag(np.array([0, 200, 0, 0], np.uint8))[:, :3]


@pytest.mark.parametrize("root", ["", "KolektorSDD2/"])
def test_ksdd2_labels_come_from_masks(root):
    masks = {"1": BLACK, "2": SPOTTED, "3": BLACK + 128, "4": BLACK + 129}
    files = {f"{root}test/2000{name}_GT.png": encoded(mask) for name, mask in masks.items()}
    listing = list_samples(
        benchmark("KSDD2"),
        tree(*(f"{root}{split}/2000{name}.png" for name in masks for split in ("train", "test")), texts=files),
    )
    assert table_of(listing.samples) == {
        f"{root}test/20001.png": ("Metal", "good", 0, f"{root}test/20001_GT.png"),
        f"{root}test/20002.png": ("Metal", "anomaly", 1, f"{root}test/20002_GT.png"),
        f"{root}test/20003.png": ("Metal", "good", 0, f"{root}test/20003_GT.png"),  # 128 is not above the threshold
        f"{root}test/20004.png": ("Metal", "anomaly", 1, f"{root}test/20004_GT.png"),
    }
    (remark,) = listing.remarks
    assert remark == (
        "the published counts and figures of KSDD2 hold on the authors' curated copy only (a folder with a "
        "meta*.json); this is the owners' copy"
    )


def test_ksdd2_masks_that_cannot_be_used_leave_the_label_unknown():
    whole = encoded(SPOTTED)
    files = {"test/1_GT.png": b"", "test/2_GT.png": whole[:40], "test/3_gt.PNG": whole, "test/5_GT.png": b"text"}

    def read(path):
        if path == "test/5_GT.png":
            raise ImageError("cannot be read (denied)")
        return files[path]

    paths = sorted([*files, *(f"test/{n}.png" for n in range(1, 6)), "test/5_GT (copy).png"])
    found = {each.key: each for each in list_samples(benchmark("KSDD2"), Tree(paths, ["test"], read)).samples}
    assert {key: each.label for key, each in found.items()} == {
        "test/1.png": None,
        "test/2.png": None,
        "test/3.png": 1,
        "test/4.png": None,
        "test/5.png": None,
        "test/5_GT (copy).png": None,  # a stray file, as in the published archive: shown, not lost
    }
    reasons = {key: each.mask_error for key, each in found.items()}
    assert reasons["test/3.png"] is None and reasons["test/1.png"] == "empty file"
    assert reasons["test/4.png"] == "no mask, which would tell whether the image is normal"
    assert "denied" in reasons["test/5.png"] and reasons["test/2.png"]
    assert found["test/1.png"].defect == "unknown"


def test_a_storage_that_fails_does_not_make_ksdd2_labels_unknown():
    def read(path):
        raise ZsadError("reading failed (timeout)")

    with pytest.raises(ZsadError, match="timeout"):
        list_samples(benchmark("KSDD2"), Tree(["test/1.png", "test/1_GT.png"], ["test"], read))


def test_ksdd2_without_any_mask_says_that_they_are_what_is_missing():
    with pytest.raises(ZsadError, match="KSDD2: no NNNNN_GT.png among the images of Test; these masks tell"):
        samples_of("KSDD2", "Test/20000.png", "Test/20001.png")


@given(st.dictionaries(st.integers(0, 99999), st.booleans(), min_size=1, max_size=40))
def test_ksdd2_gives_each_image_its_own_mask(labels):
    masks = {True: encoded(SPOTTED), False: encoded(BLACK)}
    files = {f"test/{n:05d}_GT.png": masks[label] for n, label in labels.items()}
    found = samples_of("KSDD2", *(f"test/{n:05d}.png" for n in labels), texts=files)
    assert {int(each.key[5:10]): bool(each.label) for each in found} == labels


@pytest.mark.parametrize(
    ("type_one", "images", "truth"),
    [
        ("Type-I RSDDs dataset", "Rail surface images", "GroundTruth"),
        ("RSDDs/type_I_RSDDs_dataset", "Rail_surface_images", "Ground Truth"),
    ],
)
def test_rsdd(type_one, images, truth):
    type_two = type_one.replace("-I ", "-II ").replace("_I_", "_II_")
    listing = list_samples(
        benchmark("RSDD"),
        tree(
            f"{type_one}/{images}/rail_1.jpg",
            f"{type_one}/{images}/rail_2.JPG",
            f"{type_one}/{truth}/rail_1.jpg",
            f"{type_two}/{images}/rail_1.jpg",
            f"{type_two}/{truth}/rail_1.bmp",
            f"{type_two}/{truth}/rail_9.bmp",
        ),
    )
    assert table_of(listing.samples) == {
        f"{type_one}/{images}/rail_1.jpg": ("Metal15", "type I", 1, f"{type_one}/{truth}/rail_1.jpg"),
        f"{type_one}/{images}/rail_2.JPG": ("Metal15", "type I", 1, None),
        f"{type_two}/{images}/rail_1.jpg": ("Metal15", "type II", 1, f"{type_two}/{truth}/rail_1.bmp"),
    }
    assert len(listing.remarks) == 1 and "RSDD hold on the authors' curated copy only" in listing.remarks[0]


def test_one_type_of_rsdd_alone():
    paths = ["Type-II RSDDs dataset/Rail surface images/rail_1.jpg", "Type one/GroundTruth/rail_1.bmp"]
    listing = list_samples(benchmark("RSDD"), tree(*paths))
    assert [each.defect for each in listing.samples] == ["type II"]
    assert listing.remarks[1:] == [
        "folders with images that are neither test images nor masks of any and are not read: 1 (Type one/GroundTruth/)"
    ]


LABELS = "1\n1\t0\t0001.PNG\t0\t0\n2\t1\t0002.PNG\t1\t0002_label.PNG\n3 1 0003.PNG\n"
DAGM = [*(f"Class1/Test/000{n}.PNG" for n in (1, 2, 3)), "Class1/Test/Label/0002_label.PNG"]


@pytest.mark.parametrize(
    "text",
    [
        LABELS,
        "\ufeff" + LABELS.replace("\n", "\r\n"),
        LABELS.replace("0002.PNG\t1\t0002_label.PNG", "0002_label.PNG\t1\t0002.PNG"),
        LABELS.replace("0001.PNG", "0001.png"),
    ],
)
def test_dagm(text):
    more = ["Class1/Train/0009.PNG", "Class8/Test/0001.PNG", "Class8/Test/Label/0001_label.PNG"]
    texts = {"Class1/Test/Label/Labels.txt": text, "Class1/Train/Label/Labels.txt": "junk"}
    found = samples_of("DAGM", *DAGM, *more, texts=texts)
    assert table_of(found) == {
        "Class1/Test/0001.PNG": ("Fabric1", "good", 0, None),
        "Class1/Test/0002.PNG": ("Fabric1", "anomaly", 1, "Class1/Test/Label/0002_label.PNG"),
        "Class1/Test/0003.PNG": ("Fabric1", "anomaly", 1, None),
        "Class8/Test/0001.PNG": ("Fabric8", "anomaly", 1, "Class8/Test/Label/0001_label.PNG"),  # it has no Labels.txt
    }
    assert found[1].place == "Class1/Test/Label/Labels.txt line 3"


def test_dagm_images_that_are_missing_or_in_no_list():
    texts = {"Class1/Test/label/labels.TXT": LABELS + "7 0 0007.PNG 0 0\n"}
    found = samples_of("DAGM", *DAGM, "Class1/Test/0004.PNG", "Class1/Test/notes.png", texts=texts)
    others = {each.key: (each.label, each.error) for each in found if each.key not in DAGM}
    assert others == {
        "Class1/Test/0007.PNG": (0, MISSING + " (Class1/Test/label/labels.TXT line 5)"),
        "Class1/Test/0004.PNG": (None, None),
        "Class1/Test/notes.png": (None, None),
    }


def test_dagm_image_listed_twice():
    found = samples_of("DAGM", *DAGM, texts={"Class1/Test/Label/Labels.txt": LABELS + "4 0 0001.PNG 0 0\n"})
    ((earlier, later),) = duplicates(found)
    assert (earlier.place[-6:], later.place[-6:]) == ("line 2", "line 5")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LABELS + "4 2 0004.PNG 0 0\n", "Labels.txt line 5: '4 2 0004.PNG 0 0' is not an index, 0 or 1 and an image's"),
        (LABELS + "\n\n4 0\n", "Labels.txt line 7: '4 0'"),
        ("<html>\n<body>\n", "Labels.txt line 2: '<body>'"),
        ("1\n1 0 one.PNG 0 0\n", "Labels.txt line 2: '1 0 one.PNG 0 0'"),
        (b"1\n\xff\xfe\x00", "Labels.txt: not UTF-8 text"),
    ],
)
def test_dagm_labels_that_are_junk(text, message):
    with pytest.raises(ZsadError, match=message):
        samples_of("DAGM", *DAGM, texts={"Class1/Test/Label/Labels.txt": text})


def test_dagm_images_are_not_called_normal_for_want_of_labels():
    whole = [*DAGM, "Class2/Test/0001.PNG"]
    with pytest.raises(
        ZsadError, match="Class2/Test: neither Label/Labels.txt nor any Label/NNNN_label.PNG says which"
    ):
        samples_of("DAGM", *whole)
    with pytest.raises(ZsadError, match="Class1/Test: neither"):
        samples_of("DAGM", *DAGM, texts={"Class1/Test/Label/Labels.txt": "1\n"})
    assert len(samples_of("DAGM", *whole, texts={"Class2/Test/Label/Labels.txt": "1\n1 0 0001.PNG 0 0\n"})) == 4


def test_dagm_classes_that_are_no_part_of_the_benchmark_are_left_out_and_counted():
    others = [f"DAGM/Class{n}/{split}/0001.PNG" for n in (6, 9, 10) for split in ("Train", "Test")]
    listing = list_samples(benchmark("DAGM"), tree(*(f"DAGM/{path}" for path in DAGM), *others))
    assert {each.category for each in listing.samples} == {"Fabric1"} and len(listing.samples) == 3
    assert listing.remarks[1:] == [
        "image files left out, in folders that are no part of DAGM (Class6, Class9, Class10): 6"
    ]
    with pytest.raises(ZsadError, match="Class11 is no category of DAGM"):
        samples_of("DAGM", *DAGM, "Class11/Test/0001.PNG")


@pytest.mark.parametrize("root", ["", "ISIC/"])
def test_isic(root):
    folder = f"{root}ISBI2016_ISIC_Part1_Test_"
    found = samples_of(
        "ISIC",
        f"{folder}Data/ISIC_0000003.jpg",
        f"{folder}Data/ISIC_0000012.jpg",
        f"{folder}GroundTruth/ISIC_0000003_Segmentation.png",
        f"{root}ISBI2016_ISIC_Part1_Training_Data/ISIC_0000000.jpg",
        f"{root}ISBI2016_ISIC_Part1_Test_GroundTruth.csv",
    )
    assert table_of(found) == {
        f"{folder}Data/ISIC_0000003.jpg": (
            "skin",
            "anomaly",
            1,
            f"{folder}GroundTruth/ISIC_0000003_Segmentation.png",
        ),
        f"{folder}Data/ISIC_0000012.jpg": ("skin", "anomaly", 1, None),
    }


def test_endo():
    root = "EndoTect_2020_Segmentation_Test_Dataset"
    found = samples_of("Endo", f"{root}/images/a.jpg", f"{root}/masks/a.png", f"{root}/bboxes/a.csv")
    assert table_of(found) == {f"{root}/images/a.jpg": ("colon", "anomaly", 1, f"{root}/masks/a.png")}
