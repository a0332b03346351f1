"""A drawn miniature of each benchmark of the table, in the layout, names and file formats of its owners.

As in the real sets, two normal images of BrainMRI have the same bytes, and Br35H has one of them too.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from zsad_core.benchmarks.drawn import draw_layers
from zsad_core.benchmarks.drawn.catalogue import MATERIALS
from zsad_core.benchmarks.drawn.surfaces import Array
from zsad_core.benchmarks.table import Benchmark, benchmark
from zsad_core.errors import UsageError, ZsadError

SIZE = 224
TRAIN = 10_000  # numbers of training images begin here, so they differ from all test images
GREY_IN_MVTEC = ("grid", "screw", "zipper")
BTAD = {"01": ("cover", ".bmp", ".png"), "02": ("plank", ".png", ".png"), "03": ("bushing", ".bmp", ".bmp")}
RSDD = {"Type-I RSDDs dataset": "rail", "Type-II RSDDs dataset": "main_rail"}


@dataclass(frozen=True)
class Drawing:
    """Where and how one miniature is drawn: `normal` and `anomalous` images of every category."""

    facts: Benchmark
    folder: str
    normal: int
    anomalous: int
    size: int
    seed: int

    def good(self, material: str, first: int = 0, count: int | None = None) -> Iterator[Array]:
        """Normal samples, uint8 (H, W, 3)."""
        for number in range(first, first + (self.normal if count is None else count)):
            yield draw_layers(material, [], number, self.size, self.seed)[0]

    def of_training(self, material: str) -> Array:
        """The one normal sample that a benchmark has beside those tested."""
        return next(self.good(material, TRAIN, 1))

    def bad(self, material: str) -> Iterator[tuple[str, Array, Array]]:
        """Anomalous samples: defect, pixels, mask of 0 and 255. The material's defects take turns."""
        kinds = MATERIALS[material].defects
        for turn in range(self.anomalous):
            defect, number = kinds[turn % len(kinds)], turn // len(kinds)
            pixels, masks = draw_layers(material, [defect], number, self.size, self.seed)
            yield defect, pixels, masks[0].astype(np.uint8) * 255

    def save(self, pixels: Array, *parts: str, mode: str | None = None) -> None:
        """Write an image; the format is that of the name's extension, `mode` Pillow's (default: that of the array)."""
        image = Image.fromarray(pixels)
        image = image.convert(mode) if mode else image
        options: dict[str, Any] = (
            {"quality": 92} if parts[-1].lower().endswith((".jpg", ".jpeg")) else {"compress_level": 2}
        )
        image.save(self._path(*parts), **options)

    def write(self, lines: Sequence[str], *parts: str) -> None:
        with open(self._path(*parts), "w", encoding="utf-8", newline="") as file:
            file.writelines(f"{line}\n" for line in lines)

    def table(self, rows: Sequence[Sequence[str]], *parts: str) -> None:
        with open(self._path(*parts), "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    def _path(self, *parts: str) -> str:
        path = os.path.join(self.folder, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path


def _mvtec(drawing: Drawing) -> None:
    for category in (category.name for category in drawing.facts.categories):
        mode = "L" if category in GREY_IN_MVTEC else None
        drawing.save(drawing.of_training(category), category, "train", "good", "000.png", mode=mode)
        for number, pixels in enumerate(drawing.good(category)):
            drawing.save(pixels, category, "test", "good", f"{number:03d}.png", mode=mode)
        seen: dict[str, int] = {}
        for defect, pixels, mask in drawing.bad(category):
            stem = f"{seen.setdefault(defect, 0):03d}"
            seen[defect] += 1
            drawing.save(pixels, category, "test", defect, f"{stem}.png", mode=mode)
            drawing.save(mask, category, "ground_truth", defect, f"{stem}_mask.png")


def _visa(drawing: Drawing) -> None:
    """Every third anomalous image has two kinds of defect; a mask's pixels hold the kind's number, 1, 2, ..."""
    split = [("object", "split", "label", "image", "mask")]
    for category in (category.name for category in drawing.facts.categories):
        notes = [("image", "label", "mask")]
        training, testing = drawing.good(category, TRAIN, 1), drawing.good(category)
        for number, (part, pixels) in enumerate([("train", next(training)), *(("test", each) for each in testing)]):
            image = f"{category}/Data/Images/Normal/{number:04d}.JPG"
            drawing.save(pixels, *image.split("/"))
            split.append((category, part, "normal", image, ""))
            notes.append((image, "normal", ""))
        kinds = MATERIALS[category].defects
        for turn in range(drawing.anomalous):
            chosen = [kinds[turn % len(kinds)], kinds[(turn + 1) % len(kinds)]][: 2 if turn % 3 == 2 else 1]
            pixels, masks = draw_layers(category, chosen, turn, drawing.size, drawing.seed)
            numbered = np.zeros(masks.shape[1:], np.uint8)
            for defect, mask in zip(chosen, masks, strict=True):
                numbered[mask] = kinds.index(defect) + 1
            image = f"{category}/Data/Images/Anomaly/{turn:03d}.JPG"
            mask = f"{category}/Data/Masks/Anomaly/{turn:03d}.png"
            drawing.save(pixels, *image.split("/"))
            drawing.save(numbered, *mask.split("/"))
            split.append((category, "test", "anomaly", image, mask))
            notes.append((image, ",".join(chosen), mask))
        drawing.table(notes, category, "image_anno.csv")
    drawing.table(split, "split_csv", "1cls.csv")


def _btad(drawing: Drawing) -> None:
    for folder, (material, image_ending, mask_ending) in BTAD.items():
        drawing.save(drawing.of_training(material), folder, "train", "ok", f"0000{image_ending}")
        for number, pixels in enumerate(drawing.good(material)):
            drawing.save(pixels, folder, "test", "ok", f"{number:04d}{image_ending}")
        for number, (_, pixels, mask) in enumerate(drawing.bad(material)):
            drawing.save(pixels, folder, "test", "ko", f"{number:04d}{image_ending}")
            drawing.save(mask, folder, "ground_truth", "ko", f"{number:04d}{mask_ending}")


def _ksdd2(drawing: Drawing) -> None:
    train = drawing.of_training("commutator")
    black = np.zeros(train.shape[:2], np.uint8)
    tested = [(pixels, black) for pixels in drawing.good("commutator")]
    tested += [(pixels, mask) for _, pixels, mask in drawing.bad("commutator")]
    for split, first, images in (("train", 10000, [(train, black)]), ("test", 20000, tested)):
        for number, (pixels, mask) in enumerate(images, first):
            drawing.save(pixels, split, f"{number}.png")
            drawing.save(mask, split, f"{number}_GT.png")


def _rsdd(drawing: Drawing) -> None:
    for folder, material in RSDD.items():
        for number, (_, pixels, mask) in enumerate(drawing.bad(material), 1):
            drawing.save(pixels, folder, "Rail surface images", f"rail_{number}.jpg", mode="L")
            drawing.save(mask, folder, "GroundTruth", f"rail_{number}.bmp")


def _dagm(drawing: Drawing) -> None:
    for folder in drawing.facts.source_names:
        material = folder.replace("Class", "dagm")
        tested: list[tuple[Array, Array | None]] = [(pixels, None) for pixels in drawing.good(material)]
        tested += [(pixels, mask) for _, pixels, mask in drawing.bad(material)]
        for split, images in (("Train", [(drawing.of_training(material), None)]), ("Test", tested)):
            labels = ["1"]
            for number, (pixels, mask) in enumerate(images, 1):
                drawing.save(pixels, folder, split, f"{number:04d}.PNG", mode="L")
                label, flag = "0", 0
                if mask is not None:
                    label, flag = f"{number:04d}_label.PNG", 1
                    drawing.save(mask, folder, split, "Label", label)
                labels.append(f"{number}\t{flag}\t{number:04d}.PNG\t{flag}\t{label}")
            drawing.write(labels, folder, split, "Label", "Labels.txt")


def _dtd(drawing: Drawing) -> None:
    for folder, category in drawing.facts.source_names.items():
        drawing.save(drawing.of_training(category), folder, "train", "good", "000.png")
        for number, pixels in enumerate(drawing.good(category)):
            drawing.save(pixels, folder, "test", "good", f"{number:03d}.png")
        for number, (_, pixels, mask) in enumerate(drawing.bad(category)):
            drawing.save(pixels, folder, "test", "bad", f"{number:03d}.png")
            drawing.save(mask, folder, "ground_truth", "bad", f"{number:03d}_mask.png")


def _headct(drawing: Drawing) -> None:
    """The last image has an alpha channel, as some of the real ones do."""
    images = [(pixels, 1) for _, pixels, _ in drawing.bad("head_ct")]
    images += [(pixels, 0) for pixels in drawing.good("head_ct")]
    for number, (pixels, _) in enumerate(images):
        mode = "RGBA" if number == len(images) - 1 else "RGB"
        drawing.save(pixels, "head_ct", "head_ct", f"{number:03d}.png", mode=mode)
    drawing.write(["id, hemorrhage", *(f"{number},{label}" for number, (_, label) in enumerate(images))], "labels.csv")


def _brain_mri(drawing: Drawing) -> None:
    """Names out of the published test list, and one image in each folder that is not in it."""
    good, bad = list(drawing.good("brain_mri")), [pixels for _, pixels, _ in drawing.bad("brain_mri")]
    good[1:2] = good[: len(good[1:2])]
    for label, folder, images in ((0, "no", good), (1, "yes", bad)):
        listed = sorted((drawing.facts.test_list or {})[label])
        if len(images) > len(listed):
            raise UsageError(f"BrainMRI: {len(images)} images in {folder}, its test list has {len(listed)} names")
        for number, pixels in enumerate(images):
            stem = listed[number * len(listed) // len(images)]
            # The first two of the normal ones are to be the same files, and the first that of Br35H.
            ending, mode = (".jpg", "RGB") if number < 2 else ((".JPG", "L"), (".jpeg", "RGB"))[number % 2]
            drawing.save(pixels, folder, stem + ending, mode=mode)
    drawing.save(drawing.of_training("brain_mri"), "no", "1 no.jpeg")
    drawing.save(draw_layers("brain_mri", ["tumour"], TRAIN, drawing.size, drawing.seed)[0], "yes", "Y1.jpg")


def _br35h(drawing: Drawing) -> None:
    good = list(drawing.good("br35h"))
    good[:1] = drawing.good("brain_mri", 0, len(good[:1]))
    for number, pixels in enumerate(good):
        drawing.save(pixels, "no", f"no{number}.jpg", mode="RGB")
    for number, (_, pixels, _) in enumerate(drawing.bad("br35h")):
        drawing.save(pixels, "yes", f"y{number}.jpg", mode="RGB")
    for number, pixels in enumerate(drawing.good("br35h", TRAIN, 2)):
        drawing.save(pixels, "pred", f"pred{number}.jpg", mode="RGB")


def _isic(drawing: Drawing) -> None:
    for number, (_, pixels, mask) in enumerate(drawing.bad("skin")):
        stem = f"ISIC_{3 + 13 * number:07d}"
        drawing.save(pixels, "ISBI2016_ISIC_Part1_Test_Data", f"{stem}.jpg")
        drawing.save(mask, "ISBI2016_ISIC_Part1_Test_GroundTruth", f"{stem}_Segmentation.png")


def _pairs(material: str, images: str, masks: str, ending: str, name: Callable[[int], str]) -> Callable:
    """A layout of two folders whose files have the same names; JPEG masks are grey values around black and white."""

    def draw(drawing: Drawing) -> None:
        for number, (_, pixels, mask) in enumerate(drawing.bad(material), 1):
            drawing.save(pixels, images, name(number) + ending)
            drawing.save(mask, masks, name(number) + ending, mode="RGB" if ending == ".jpg" else None)

    return draw


def _long_name(start: str) -> Callable[[int], str]:
    """Names as Kvasir-SEG has them: 25 letters and digits."""
    letters = "0123456789abcdefghijklmnopqrstuvwxyz"

    def name(number: int) -> str:
        return start + "".join(letters[each] for each in np.random.default_rng(number).integers(36, size=22))

    return name


@dataclass(frozen=True)
class Miniature:
    """draw writes the files; normal, anomalous: default numbers of test images of every category."""

    draw: Callable[[Drawing], None]
    normal: int
    anomalous: int


MINIATURES = {
    "MVTec-AD": Miniature(_mvtec, 2, 3),
    "VisA": Miniature(_visa, 2, 3),
    "BTAD": Miniature(_btad, 4, 6),
    "KSDD2": Miniature(_ksdd2, 6, 6),
    "RSDD": Miniature(_rsdd, 0, 6),
    "DAGM": Miniature(_dagm, 2, 4),
    "DTD-Synthetic": Miniature(_dtd, 2, 3),
    "HeadCT": Miniature(_headct, 6, 6),
    "BrainMRI": Miniature(_brain_mri, 85, 68),  # its whole published test list, whose other images would be missing
    "Br35H": Miniature(_br35h, 6, 6),
    "ISIC": Miniature(_isic, 0, 10),
    "CVC-ColonDB": Miniature(_pairs("colon_db", "images", "masks", ".png", str), 0, 10),
    "CVC-ClinicDB": Miniature(_pairs("clinic_db", "Original", "Ground Truth", ".tif", str), 0, 10),
    "Endo": Miniature(_pairs("endo", "images", "masks", ".jpg", _long_name("ckx")), 0, 10),
    "Kvasir": Miniature(_pairs("kvasir", "images", "masks", ".jpg", _long_name("cju")), 0, 10),
}


def miniature_name(name: str) -> str:
    """The table's spelling of a benchmark that can be drawn. Raises UsageError for any other name."""
    found = next((known for known in MINIATURES if known.casefold() == name.casefold()), None)
    if found is None:
        raise UsageError(f"{name}: cannot be drawn. Known: {', '.join(MINIATURES)}")
    return found


def draw_miniature(
    name: str,
    folder: str,
    *,
    normal: int | None = None,
    anomalous: int | None = None,
    size: int = SIZE,
    seed: int = 0,
) -> None:
    """Draw the benchmark called `name` (in any case) into `folder`, in its owners' layout.

    normal, anomalous: test images of every category (of every type of rail), by default those of MINIATURES; sets
    without normal images stay so. Pictures have the area of a square of side `size` and their owners' aspect ratio;
    each depends on the seed, its category, its defect and its number alone. Files of the same names are replaced.
    Raises UsageError for a name that is not in MINIATURES, ZsadError where nothing can be written.
    """
    name = miniature_name(name)
    miniature = MINIATURES[name]
    normal = miniature.normal if normal is None else normal
    anomalous = miniature.anomalous if anomalous is None else anomalous
    try:
        miniature.draw(Drawing(benchmark(name), folder, normal, anomalous, size, seed))
    except OSError as error:
        raise ZsadError(f"{error.filename or folder}: cannot be written ({error.strerror or error})") from None
