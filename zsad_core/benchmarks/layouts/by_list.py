"""Layouts in which a list (CSV, JSON, text) tells the labels; whatever is wrong with one names its line."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator

from zsad_core import csv_rows
from zsad_core.benchmarks.layouts.source import (
    ANOMALOUS,
    Sample,
    Tree,
    by_stem,
    category_of,
    find_root,
    inside,
    nothing,
    plain,
    sample,
    stem,
)
from zsad_core.benchmarks.table import Benchmark
from zsad_core.errors import ZsadError
from zsad_core.images import is_image_name

VISA_LIST = "split_csv/1cls.csv"
VISA_LABELS = {"normal": 0, "anomaly": 1}
SEVERAL_DEFECTS = "combined"


def headct(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """`labels.csv` (image number, 0 or 1), beside it `head_ct/NNN.png` or `head_ct/head_ct/NNN.png`."""
    tables = [path for path in tree.files if posixpath.basename(path).casefold() == "labels.csv"]
    places = [
        (table, posixpath.join(posixpath.dirname(table), folder))
        for table in sorted(tables, key=lambda path: path.count("/"))
        for folder in ("head_ct", "head_ct/head_ct")
    ]
    there = [each for each in places if each[1] in tree.images_by_folder]
    if not there:
        raise nothing(benchmark, "labels.csv and head_ct/NNN.png")
    table, folder = there[0]
    labels = []
    for line, cells in csv_rows.lines(tree.text(table), table):
        if line == 1 and not _is_number(cells[0]):  # the names of the columns
            continue
        if len(cells) != 2 or not _is_number(cells[0]) or cells[1] not in ("0", "1"):
            raise ZsadError(f"{table} line {line}: {','.join(cells)!r} is not an image number and 0 or 1")
        labels.append((int(cells[0]), f"{int(cells[0]):03d}.png", int(cells[1]), f"{table} line {line}"))
    for path, label, place in _numbered(tree, folder, labels):
        yield sample(tree, path, benchmark.single_category, label, place=place)


def visa(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """`split_csv/1cls.csv` (object, split, label, image, mask), paths below the folder that `split_csv` lies in.

    `<object>/image_anno.csv` (image, label) says what the defects are, where it is there.
    """
    lists = [path for path in tree.files if "/".join(path.split("/")[-2:]).casefold() == VISA_LIST]
    if not lists:
        if any("/data/images/" in f"/{folder.casefold()}/" for folder in tree.images_by_folder):
            raise ZsadError(
                f"{benchmark.name}: SOURCE has no {VISA_LIST}, which lists the test images. It comes from the owners' "
                f"repository, amazon-science/spot-diff on GitHub; put the folder split_csv beside those of the objects"
            )
        raise nothing(benchmark, f"{VISA_LIST} and <object>/Data/Images/Normal/<image>")
    if len(lists) > 1:
        raise ZsadError(f"several lists of samples: {', '.join(lists)}; keep one")
    (table,) = lists
    root = posixpath.dirname(posixpath.dirname(table))
    defects: dict[str, dict[str, str]] = {}
    for line, row in csv_rows.table(tree.text(table), table, ("object", "split", "label", "image", "mask"))[1]:
        place = f"{table} line {line}"
        split, label = row["split"].casefold(), VISA_LABELS.get(row["label"].casefold())
        if split not in ("train", "test") or label is None:
            raise ZsadError(f"{place}: {row['split']}, {row['label']}; train or test, and normal or anomaly, are known")
        if split == "train":
            continue
        category = category_of(benchmark, row["object"], place)
        image = tree.image(posixpath.join(root, inside(row["image"], place)))
        mask = tree.image(posixpath.join(root, inside(row["mask"], place))) if row["mask"] else None
        if row["object"] not in defects:
            defects[row["object"]] = _visa_defects(tree, posixpath.join(root, row["object"], "image_anno.csv"))
        defect = defects[row["object"]].get(stem(image), ANOMALOUS)
        yield sample(tree, image, category, label, mask, defect=defect, place=place)


def _visa_defects(tree: Tree, table: str) -> dict[str, str]:
    """Stem of an anomalous image -> its kind of defect; nothing where the owners' table is not there."""
    if table not in tree.file_set:
        return {}
    kinds = {}
    for _, row in csv_rows.table(tree.text(table), table, ("image", "label"))[1]:
        if row["label"].casefold() not in ("", "normal"):
            kinds[stem(row["image"])] = SEVERAL_DEFECTS if "," in row["label"] else row["label"]
    return kinds


def dagm(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """`<class>/Test/NNNN.PNG`, beside them `Label/Labels.txt` (index, 0 or 1, image, ...) and `Label/NNNN_label.PNG`.

    Without Labels.txt the images that have a mask are the anomalous ones.
    """
    _, found = find_root(benchmark, tree, ["*/Test"], "<class>/Test/<image> and <class>/Test/Label/Labels.txt")
    for folder in found["*/Test"]:
        name = posixpath.basename(posixpath.dirname(folder))
        category = category_of(benchmark, name, f"folder {name}")
        beside = [path for path in tree.images_by_folder if plain(path) == plain(f"{folder}/Label")]
        by_number = by_stem((path for label in beside for path in tree.images_by_folder[label]), "_label")
        masks = {int(number): path for number, path in by_number.items() if _is_number(number)}
        lists = [path for path in tree.files if plain(path) == plain(f"{folder}/Label/Labels.txt")]
        labels = list(_dagm_labels(tree, lists[0])) if lists else []
        if not labels and (lists or not masks):
            raise ZsadError(
                f"{folder}: neither Label/Labels.txt nor any Label/NNNN_label.PNG says which images are normal; "
                "put the owners' there"
            )
        if not lists:
            labels = [
                (int(stem(path)), "", int(int(stem(path)) in masks), path)
                for path in tree.images_by_folder[folder]
                if _is_number(stem(path))
            ]
        for path, label, place in _numbered(tree, folder, labels):
            mask = masks.get(int(stem(path))) if _is_number(stem(path)) else None
            yield sample(tree, path, category, label, mask, place=place)


def _dagm_labels(tree: Tree, table: str) -> Iterator[tuple[int, str, int, str]]:
    for line, text in enumerate(tree.text(table).splitlines(), 1):
        cells = text.split()
        if not cells or (line == 1 and len(cells) == 1):  # the first line holds a 1 alone
            continue
        place = f"{table} line {line}"
        image = next((cell for cell in cells[2:] if is_image_name(cell) and _is_number(stem(cell))), None)
        if image is None or cells[1] not in ("0", "1"):
            raise ZsadError(f"{place}: {text.strip()!r} is not an index, 0 or 1 and an image's name")
        yield int(stem(image)), posixpath.basename(image), int(cells[1]), place


def curated(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """`{"test": {category: [{img_path, mask_path, cls_name, specie_name, anomaly}]}}` in a meta*.json in the root."""
    candidates = curated_lists(tree)
    if len(candidates) > 1:
        key = (benchmark.meta_key or benchmark.name).casefold()
        named = [path for path in candidates if stem(path).casefold().removeprefix("meta").lstrip("_-") == key]
        if len(named) != 1:
            raise ZsadError(f"several lists of samples: {', '.join(candidates)}; keep one, or name it meta_{key}.json")
        candidates = named
    if not candidates:
        raise nothing(benchmark, "a meta*.json in the root")
    (meta,) = candidates
    try:
        listed = json.loads(tree.text(meta))["test"]
        entries = [(name, number, entry) for name, rows in listed.items() for number, entry in enumerate(rows, 1)]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ZsadError(f'{meta}: not a list of samples, {{"test": {{category: [...]}}}} ({error})') from None
    for name, number, entry in entries:
        place = f"{meta}: test, {name}, entry {number}"
        try:
            image, mask, label = entry["img_path"], entry.get("mask_path") or None, entry["anomaly"]
            path, mask = inside(image, place), mask and inside(mask, place)
            defect = str(entry.get("specie_name") or ANOMALOUS)
        except (LookupError, TypeError, AttributeError) as error:
            raise ZsadError(f"{place}: needs img_path, mask_path and anomaly ({error!r})") from None
        if label not in (0, 1):
            raise ZsadError(f"{place}: anomaly is {label!r}, it must be 0 or 1")
        yield sample(tree, path, category_of(benchmark, name, place), int(label), mask, defect=defect, place=place)


def curated_lists(tree: Tree) -> list[str]:
    """The lists of samples that an authors' curated copy has in its root."""
    return [path for path in tree.files if re.fullmatch(r"meta[^/]*\.json", path)]


def _numbered(
    tree: Tree, folder: str, labels: list[tuple[int, str, int, str]]
) -> Iterator[tuple[str, int | None, str]]:
    """(path, label, place) of each listed image of a folder and of its other images, whose label is unknown.

    `labels`: number of the image, its file name where none of the folder has this number, label, place.
    """
    paths = tree.images_by_folder[folder]
    numbered = {int(stem(path)): path for path in paths if _is_number(stem(path))}
    labelled = set()
    for number, name, label, place in labels:
        path = numbered.get(number, posixpath.join(folder, name))
        labelled.add(path)
        yield path, label, place
    for path in paths:
        if path not in labelled:
            yield path, None, path


def _is_number(text: str) -> bool:
    """Whether a text is a number, and not longer than int() takes."""
    return text.isdecimal() and len(text) < 100
