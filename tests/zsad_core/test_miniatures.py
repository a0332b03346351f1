"""The drawn miniatures: each lies on disk as its owners' files do, in their formats; the seed decides the rest."""

import csv
import fnmatch
import re

import numpy as np
import pytest
from PIL import Image

from zsad_core.benchmarks.drawn import MATERIALS, draw_sample
from zsad_core.benchmarks.drawn.miniatures import MINIATURES, draw_miniature
from zsad_core.benchmarks.table import benchmark, benchmarks
from zsad_core.errors import UsageError

SIZE = 40
MVTEC, VISA = ([category.name for category in benchmark(name).categories] for name in ("MVTec-AD", "VisA"))
DTD = list(benchmark("DTD-Synthetic").source_names)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Folder of a miniature as drawn by default, at a tiny size; each is drawn once."""
    root, done = tmp_path_factory.mktemp("miniatures"), set()

    def folder(name):
        if name not in done:
            draw_miniature(name, str(root / name), size=SIZE)
            done.add(name)
        return root / name

    return folder


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def form(path):
    """Pillow's format and mode of an image file."""
    with Image.open(path) as image:
        image.load()
        return image.format, image.mode


def mask_of(path):
    return np.asarray(Image.open(path))


def is_mask(path):
    """Whether the file is black and white with both, as large as the picture."""
    return set(np.unique(mask_of(path))) == {0, 255} and form(path)[1] == "L"


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def shapes_agree(image, mask):
    return Image.open(image).size == Image.open(mask).size


def test_the_whole_table_can_be_drawn():
    assert list(MINIATURES) == [each.name for each in benchmarks()]
    total = sum(
        (miniature.normal + miniature.anomalous) * (2 if name == "RSDD" else len(benchmark(name).categories))
        for name, miniature in MINIATURES.items()
    )
    assert total == 518


@pytest.mark.parametrize("name", MINIATURES)
def test_the_seed_decides_and_nothing_else(name, tmp_path):
    for folder, normal, anomalous, seed in [("a", 2, 2, 1), ("again", 2, 2, 1), ("other", 2, 2, 2)]:
        draw_miniature(name.lower(), str(tmp_path / folder), normal=normal, anomalous=anomalous, size=32, seed=seed)
    a, again, other = (
        {path: (tmp_path / folder / path).read_bytes() for path in listing(tmp_path / folder)}
        for folder in ("a", "again", "other")
    )
    assert a == again and a.keys() == other.keys()
    pictures = [path for path in a if re.search(r"\.(png|jpe?g|bmp|tif)$", path, re.IGNORECASE) and len(a[path]) > 300]
    assert sum(a[path] != other[path] for path in pictures) > len(pictures) / 2


@pytest.mark.parametrize("name", ["MVTec-AD", "Kvasir", "ISIC"])
def test_more_images_change_no_others(name, tmp_path):
    draw_miniature(name, str(tmp_path / "few"), normal=1, anomalous=2, size=32)
    draw_miniature(name, str(tmp_path / "more"), normal=2, anomalous=4, size=32)
    few, more = tmp_path / "few", tmp_path / "more"
    assert all((few / path).read_bytes() == (more / path).read_bytes() for path in listing(few))
    assert len(listing(more)) > len(listing(few))


def test_mvtec(drawn):
    folder = drawn("MVTec-AD")
    for category in MVTEC:
        tests, (first, second, third) = listing(folder / category), MATERIALS[category].defects[:3]
        expected = ["test/good/000.png", "test/good/001.png", "train/good/000.png"]
        for defect in (first, second, third):
            expected += [f"test/{defect}/000.png", f"ground_truth/{defect}/000_mask.png"]
            mask = folder / category / f"ground_truth/{defect}/000_mask.png"
            assert is_mask(mask) and shapes_agree(folder / category / f"test/{defect}/000.png", mask)
        assert tests == sorted(expected)
        mode = "L" if category in ("grid", "screw", "zipper") else "RGB"
        assert form(folder / category / "test/good/000.png") == ("PNG", mode)
    assert sorted(path.name for path in folder.iterdir()) == MVTEC


def test_visa(drawn):
    folder = drawn("VisA")
    header, *rows = table(folder / "split_csv/1cls.csv")
    assert header == ["object", "split", "label", "image", "mask"]
    listed = {path for row in rows for path in row[3:] if path}
    notes = {f"{category}/image_anno.csv" for category in VISA}
    assert set(listing(folder)) == listed | notes | {"split_csv/1cls.csv"}
    for category in VISA:
        own = [row for row in rows if row[0] == category]
        assert [(row[1], row[2]) for row in own] == [("train", "normal")] + 2 * [("test", "normal")] + 3 * [
            ("test", "anomaly")
        ]
        header, *noted = table(folder / category / "image_anno.csv")
        assert header == ["image", "label", "mask"]
        assert [(image, mask) for image, _, mask in noted] == [(row[3], row[4]) for row in own]
        kinds = MATERIALS[category].defects
        labels = [label.split(",") for _, label, _ in noted]
        assert labels[:3] == 3 * [["normal"]] and [len(label) for label in labels[3:]] == [1, 1, 2]
        for (image, _, mask), label in zip(noted, labels, strict=True):
            assert fnmatch.fnmatchcase(image, f"{category}/Data/Images/{'Anomaly' if mask else 'Normal'}/*.JPG")
            assert form(folder / image) == ("JPEG", "RGB")
            if mask:
                assert form(folder / mask) == ("PNG", "L") and shapes_agree(folder / image, folder / mask)
                seen = set(np.unique(mask_of(folder / mask)).tolist()) - {0}
                # The second of two kinds may cover the first.
                assert seen <= {kinds.index(kind) + 1 for kind in label} and kinds.index(label[-1]) + 1 in seen


def test_btad(drawn):
    folder = drawn("BTAD")
    expected, modes = [], {".bmp": ("BMP", "RGB"), ".png": ("PNG", "RGB")}
    for category, image, mask in (("01", ".bmp", ".png"), ("02", ".png", ".png"), ("03", ".bmp", ".bmp")):
        expected.append(f"{category}/train/ok/0000{image}")
        expected += [f"{category}/test/ok/{number:04d}{image}" for number in range(4)]
        for number in range(6):
            pair = f"{category}/test/ko/{number:04d}{image}", f"{category}/ground_truth/ko/{number:04d}{mask}"
            expected += pair
            assert form(folder / pair[0]) == modes[image] and is_mask(folder / pair[1])
            assert shapes_agree(folder / pair[0], folder / pair[1])
    assert listing(folder) == sorted(expected)
    width, height = Image.open(folder / "03/test/ok/0000.bmp").size
    assert abs(width / height - 800 / 600) < 0.06


def test_ksdd2(drawn):
    folder = drawn("KSDD2")
    numbers = ["train/10000", *(f"test/{number}" for number in range(20000, 20012))]
    assert listing(folder) == sorted(f"{number}{end}.png" for number in numbers for end in ("", "_GT"))
    marked = [mask_of(folder / f"{number}_GT.png").any() for number in numbers]
    assert marked == [False] * 7 + [True] * 6
    assert form(folder / "test/20000.png") == ("PNG", "RGB") and form(folder / "test/20000_GT.png") == ("PNG", "L")
    width, height = Image.open(folder / "test/20000.png").size
    assert abs(width / height - 230 / 630) < 0.03 and shapes_agree(
        folder / "test/20009.png", folder / "test/20009_GT.png"
    )


def test_rsdd(drawn):
    folder, expected = drawn("RSDD"), []
    for kind, ratio in (("Type-I RSDDs dataset", 160 / 1000), ("Type-II RSDDs dataset", 55 / 1250)):
        for number in range(1, 7):
            image, mask = f"{kind}/Rail surface images/rail_{number}.jpg", f"{kind}/GroundTruth/rail_{number}.bmp"
            expected += [image, mask]
            assert form(folder / image) == ("JPEG", "L") and is_mask(folder / mask)
            width, height = Image.open(folder / image).size
            assert abs(width / height - ratio) < 0.01 and shapes_agree(folder / image, folder / mask)
    assert listing(folder) == sorted(expected)


def test_dagm(drawn):
    folder, expected = drawn("DAGM"), []
    for number in (1, 2, 3, 4, 5, 7, 8):
        root = f"Class{number}"
        expected += [f"{root}/Train/0001.PNG", f"{root}/Train/Label/Labels.txt", f"{root}/Test/Label/Labels.txt"]
        expected += [f"{root}/Test/{image:04d}.PNG" for image in range(1, 7)]
        expected += [f"{root}/Test/Label/{image:04d}_label.PNG" for image in range(3, 7)]
        lines = (folder / root / "Test/Label/Labels.txt").read_text().splitlines()
        assert lines[:2] == ["1", "1\t0\t0001.PNG\t0\t0"] and lines[3] == "3\t1\t0003.PNG\t1\t0003_label.PNG"
        assert len(lines) == 7
        assert (folder / root / "Train/Label/Labels.txt").read_text().splitlines() == lines[:2]
        assert form(folder / root / "Test/0001.PNG") == ("PNG", "L")
        assert is_mask(folder / root / "Test/Label/0003_label.PNG")
        assert Image.open(folder / root / "Test/0003.PNG").size == (SIZE, SIZE)
    assert listing(folder) == sorted(expected)


def test_dtd_synthetic(drawn):
    folder, expected = drawn("DTD-Synthetic"), []
    for category in DTD:
        expected += [f"{category}/{path}.png" for path in ("train/good/000", "test/good/000", "test/good/001")]
        for number in range(3):
            image, mask = f"{category}/test/bad/{number:03d}.png", f"{category}/ground_truth/bad/{number:03d}_mask.png"
            expected += [image, mask]
            assert form(folder / image) == ("PNG", "RGB") and is_mask(folder / mask)
    assert listing(folder) == sorted(expected)


def test_headct(drawn):
    folder = drawn("HeadCT")
    images = [f"head_ct/head_ct/{number:03d}.png" for number in range(12)]
    assert listing(folder) == sorted(["labels.csv", *images])
    lines = [f"{number},{int(number < 6)}" for number in range(12)]
    assert (folder / "labels.csv").read_text() == "\n".join(["id, hemorrhage", *lines, ""])
    assert [form(folder / image) for image in images] == 11 * [("PNG", "RGB")] + [("PNG", "RGBA")]


def test_brain_mri_and_br35h_with_their_equal_images(drawn):
    folder, other = drawn("BrainMRI"), drawn("Br35H")
    lists = benchmark("BrainMRI").test_list
    for label, (name, beside) in enumerate((("no", "1 no.jpeg"), ("yes", "Y1.jpg"))):
        files = listing(folder / name)
        listed = [path for path in files if path.rsplit(".", 1)[0] in lists[label]]
        assert set(files) - set(listed) == {beside} and len(listed) == len(lists[label])
        assert {path.rsplit(".", 1)[1] for path in listed} == {"jpg", "JPG", "jpeg"}
        assert {form(folder / name / path) for path in listed} == {("JPEG", "RGB"), ("JPEG", "L")}
    assert len(listing(folder)) == 155
    expected = [f"{kind}/{start}{number}.jpg" for kind, start in (("no", "no"), ("yes", "y")) for number in range(6)]
    assert listing(other) == sorted([*expected, "pred/pred0.jpg", "pred/pred1.jpg"])

    def equal(*folders):
        found = {}
        for path in (path for each in folders for path in each.rglob("*") if path.is_file()):
            found.setdefault(path.read_bytes(), []).append(path.relative_to(path.parents[2]).as_posix())
        return [sorted(paths) for paths in found.values() if len(paths) > 1]

    (pair,), (three,) = equal(folder), equal(folder, other)
    assert len(pair) == 2 and all(path.startswith("BrainMRI/no/") for path in pair)
    assert three == sorted([*pair, "Br35H/no/no0.jpg"]) and not equal(other)
    assert all(path.removeprefix("BrainMRI/no/").removesuffix(".jpg") in lists[0] for path in pair)


def test_isic(drawn):
    folder = drawn("ISIC")
    files = listing(folder)
    images = [path for path in files if re.fullmatch(r"ISBI2016_ISIC_Part1_Test_Data/ISIC_\d{7}\.jpg", path)]
    masks = [re.sub(r"Data/(\w+)\.jpg", r"GroundTruth/\1_Segmentation.png", path) for path in images]
    assert len(images) == 10 and files == sorted(images + masks)
    for image, mask in zip(images, masks, strict=True):
        assert form(folder / image) == ("JPEG", "RGB") and is_mask(folder / mask)
        assert shapes_agree(folder / image, folder / mask)


@pytest.mark.parametrize(
    ("name", "images", "masks", "stem", "ending", "forms"),
    [
        ("CVC-ColonDB", "images", "masks", r"\d+", ".png", [("PNG", "RGB"), ("PNG", "L")]),
        ("CVC-ClinicDB", "Original", "Ground Truth", r"\d+", ".tif", [("TIFF", "RGB"), ("TIFF", "L")]),
        ("Endo", "images", "masks", r"[a-z0-9]{25}", ".jpg", [("JPEG", "RGB"), ("JPEG", "RGB")]),
        ("Kvasir", "images", "masks", r"[a-z0-9]{25}", ".jpg", [("JPEG", "RGB"), ("JPEG", "RGB")]),
    ],
)
def test_colon(drawn, name, images, masks, stem, ending, forms):
    folder = drawn(name)
    names = listing(folder / images)
    assert len(names) == 10 and all(re.fullmatch(stem + re.escape(ending), each) for each in names)
    assert listing(folder) == sorted(f"{part}/{each}" for part in (images, masks) for each in names)
    for each in names:
        assert [form(folder / part / each) for part in (images, masks)] == forms
        assert shapes_agree(folder / images / each, folder / masks / each)
        mask = mask_of(folder / masks / each)
        mask = mask[..., 0] if mask.ndim == 3 else mask
        assert 0 < (mask > 128).mean() < 0.25
        # A JPEG mask has greys beside black and white, the others have none.
        assert (len(np.unique(mask)) > 2) == (ending == ".jpg")


def test_an_image_and_its_mask_belong_to_one_sample(drawn):
    for folder, category, image, mask in [
        (drawn("MVTec-AD"), "tile", "tile/test/stain/000.png", "tile/ground_truth/stain/000_mask.png"),
        (drawn("DTD-Synthetic"), "woven5", "Woven_001/test/bad/001.png", "Woven_001/ground_truth/bad/001_mask.png"),
        (drawn("KSDD2"), "commutator", "test/20009.png", "test/20009_GT.png"),
        (drawn("BTAD"), "bushing", "03/test/ko/0004.bmp", "03/ground_truth/ko/0004.bmp"),
        (drawn("CVC-ClinicDB"), "clinic_db", "Original/4.tif", "Ground Truth/4.tif"),
    ]:
        kinds = MATERIALS[category].defects
        for pixels, truth in (draw_sample(category, kind, number, SIZE, 0) for kind in kinds for number in range(3)):
            if (mask_of(folder / image) == pixels).all():
                assert (mask_of(folder / mask) == truth).all()
                break
        else:
            raise AssertionError(f"{image} is none of the samples of {category}")


def test_what_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(UsageError, match="KSDD: cannot be drawn. Known: MVTec-AD, VisA, "):
        draw_miniature("KSDD", str(tmp_path))
    with pytest.raises(UsageError, match="BrainMRI: 69 images in yes, its test list has 68 names"):
        draw_miniature("BrainMRI", str(tmp_path), normal=1, anomalous=69, size=32)
