"""How sources lie on disk: one pure function a layout, from a listing of the source to its test samples.

Only file names and small text files are looked at; whether an image can be decoded shows when it is packed.
"""

from __future__ import annotations

import csv
import json
import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from zsad_core.benchmarks.table import Benchmark, Category
from zsad_core.errors import ZsadError

IMAGE_EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
NORMAL, ANOMALOUS = "good", "anomaly"
PAIRED_FOLDERS = (("images", "masks"), ("Original", "Ground Truth"))
MISSING = "listed, but there is no such file"
DIRECTORY = "a directory where an image file should be"


@dataclass(frozen=True)
class Tree:
    """Everything below a source: relative posix paths, and how to read a small text file among them."""

    files: list[str]
    directories: list[str]
    read: Callable[[str], bytes]

    @cached_property
    def file_set(self) -> frozenset[str]:
        return frozenset(self.files)

    @cached_property
    def directory_set(self) -> frozenset[str]:
        return frozenset(self.directories)

    @cached_property
    def images(self) -> list[str]:
        """Paths whose name is an image's, sorted; a directory of such a name is among them, its content is not."""
        named = {path for path in [*self.files, *self.directories] if is_image_name(path)}
        return sorted(path for path in named if named.isdisjoint(_parents(path)))

    @cached_property
    def images_by_folder(self) -> dict[str, list[str]]:
        """Folder ("" is the source itself) -> the images directly in it."""
        folders = defaultdict(list)
        for path in self.images:
            folders[posixpath.dirname(path)].append(path)
        return folders


@dataclass(frozen=True)
class Sample:
    """One test sample as the source lists it.

    key: path of the image in the source. label: 0 normal, 1 anomalous, None unknown. mask: path of its mask in the
    source, None where it has none. place: where the source lists it. error: why there is no image to read.
    """

    key: str
    category: str
    prompt: str
    defect: str
    label: int | None
    mask: str | None
    place: str
    error: str | None = None


@dataclass(frozen=True)
class Listing:
    """The test samples of a source by (category, key), the layout they were read by and the threshold of its masks."""

    layout: str
    mask_threshold: int | None
    samples: list[Sample]


def list_samples(benchmark: Benchmark, tree: Tree) -> Listing:
    """The test samples of a source; an authors' curated copy (meta*.json in its root) goes before the owners' layout.

    Raises ZsadError where nothing is found, where the layout is not supported and for a category that is not known.
    """
    curated = [path for path in tree.files if "/" not in path and path.startswith("meta") and path.endswith(".json")]
    layout = "curated" if benchmark.published and curated else benchmark.layout
    if layout is None:
        raise ZsadError(
            f"{benchmark.name}: its owners' layout cannot be read yet. Readable now: the authors' curated copy, "
            f"a folder with a meta*.json in its root (none there)"
        )
    if layout == "curated":
        samples = list(_curated(benchmark, tree, curated))
    else:
        samples = list(LAYOUTS[layout](benchmark, tree))
    for sample in samples:
        _check_name(sample.key)
    samples.sort(key=lambda sample: (sample.category, sample.key))
    threshold = 0 if layout == "curated" and benchmark.published else benchmark.mask_threshold
    return Listing(layout, threshold, samples)


def mvtec(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """`<category>/test/<defect>/<stem>.png`, normal in `good`; masks `<category>/ground_truth/<defect>/<stem>_mask.png`.

    A mask may also be named as its image is.
    """
    masks = {}
    for path in tree.images:
        parts = path.split("/")
        if len(parts) == 4 and parts[1] == "ground_truth":
            stem = _stem(path)
            masks.setdefault((parts[0], parts[2], stem), path)
            if stem.endswith("_mask"):
                masks[parts[0], parts[2], stem.removesuffix("_mask")] = path
    found = False
    for path in tree.images:
        parts = path.split("/")
        if len(parts) < 3 or parts[1] != "test":
            continue
        if len(parts) != 4:
            raise ZsadError(f"{path}: not in the layout <category>/test/<defect>/<image>; move it there")
        found = True
        category, defect = _category(benchmark, parts[0], f"folder {parts[0]}"), parts[2]
        label, mask = int(defect != NORMAL), masks.get((parts[0], defect, _stem(path)))
        yield _sample(tree, path, category, defect, label, mask)
    if not found:
        hint = ""
        if any(path.startswith("test/") for path in tree.images):
            hint = "; SOURCE looks like a single category: give the folder above it"
        raise _nothing(benchmark, "<category>/test/<defect>/<image>" + hint)


def headct(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """`labels.csv` (image number, 0 or 1) and `head_ct/NNN.png` or `head_ct/head_ct/NNN.png` beside it.

    The table may lie in the source or in its folder `head_ct`.
    """
    table = next((path for path in ("labels.csv", "head_ct/labels.csv") if path in tree.file_set), None)
    folders = [posixpath.join(posixpath.dirname(table or ""), folder) for folder in ("head_ct", "head_ct/head_ct")]
    folder = next((folder for folder in folders if tree.images_by_folder.get(folder)), None)
    if table is None or folder is None:
        raise _nothing(benchmark, "labels.csv and head_ct/NNN.png")
    paths = tree.images_by_folder[folder]
    numbered = {int(_stem(path)): path for path in paths if _stem(path).isdecimal()}
    category = benchmark.categories[0]
    labelled = set()
    for line, number, label in _headct_labels(tree, table):
        path = numbered.get(number, f"{folder}/{number:03d}.png")
        labelled.add(path)
        yield _sample(tree, path, category, ANOMALOUS if label else NORMAL, label, None, f"{table} line {line}")
    for path in (path for path in paths if path not in labelled):
        yield _sample(tree, path, category, "unknown", None, None)


def yes_no(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """Folders `no` (normal) and `yes` (anomalous); of a benchmark with a test list only what it names."""
    root = _one_root(benchmark, tree, ("no", "yes"), "folders no and yes with images")
    for label, name in enumerate(("no", "yes")):
        folder = posixpath.join(root, name)
        listed = set(benchmark.test_list[label]) if benchmark.test_list else None
        paths = [path for path in tree.images_by_folder[folder] if listed is None or _stem(path) in listed]
        absent = sorted((listed or set()) - {_stem(path) for path in paths})
        for path in paths + [posixpath.join(folder, stem) for stem in absent]:
            yield _sample(tree, path, benchmark.categories[0], ANOMALOUS if label else NORMAL, label, None)


def pairs(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """`images/` and `masks/`, or `Original/` and `Ground Truth/`, matched by stem; every image is anomalous."""
    folders = next((names for names in PAIRED_FOLDERS if _roots(tree, names)), PAIRED_FOLDERS[0])
    looked_for = " or ".join(" and ".join(names) for names in PAIRED_FOLDERS)
    root = _one_root(benchmark, tree, folders, f"folders {looked_for} with images")
    images, masks = (tree.images_by_folder[posixpath.join(root, folder)] for folder in folders)
    mask_of = {_stem(path): path for path in masks}
    for path in images:
        yield _sample(tree, path, benchmark.categories[0], ANOMALOUS, 1, mask_of.get(_stem(path)))


LAYOUTS = {"mvtec": mvtec, "headct": headct, "yes-no": yes_no, "pairs": pairs}


def _curated(benchmark: Benchmark, tree: Tree, candidates: list[str]) -> Iterator[Sample]:
    """`{"test": {category: [{img_path, mask_path, cls_name, specie_name, anomaly}]}}`; masks are 0/255."""
    if len(candidates) > 1:
        key = (benchmark.meta_key or benchmark.name).casefold()
        named = [path for path in candidates if _stem(path).casefold().removeprefix("meta").lstrip("_-") == key]
        if len(named) != 1:
            raise ZsadError(f"several lists of samples: {', '.join(candidates)}; keep one, or name it meta_{key}.json")
        candidates = named
    if not candidates:
        raise _nothing(benchmark, "a meta*.json in the root")
    (meta,) = candidates
    try:
        listed = json.loads(tree.read(meta).decode("utf-8-sig"))["test"]
        entries = [(name, number, entry) for name, rows in listed.items() for number, entry in enumerate(rows, 1)]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ZsadError(f'{meta}: not a list of samples, {{"test": {{category: [...]}}}} ({error})') from None
    for name, number, entry in entries:
        place = f"{meta}: test, {name}, entry {number}"
        try:
            image, mask, label = entry["img_path"], entry.get("mask_path") or None, entry["anomaly"]
            path, mask = _tidy(image), mask and _tidy(mask)
            defect = str(entry.get("specie_name") or (ANOMALOUS if label else NORMAL))
        except (LookupError, TypeError, AttributeError) as error:
            raise ZsadError(f"{place}: needs img_path, mask_path and anomaly ({error!r})") from None
        if label not in (0, 1):
            raise ZsadError(f"{place}: anomaly is {label!r}, it must be 0 or 1")
        for inner in filter(None, (path, mask)):
            if inner.startswith(("../", "/")) or inner in ("", ".", ".."):
                raise ZsadError(f"{place}: the path {inner!r} does not lie inside the source")
        yield _sample(tree, path, _category(benchmark, name, place), defect, int(label), mask, place)


def duplicates(samples: Iterable[Sample]) -> Iterator[tuple[Sample, Sample]]:
    """Every sample whose key an earlier one has, after that earlier one."""
    first: dict[str, Sample] = {}
    for sample in samples:
        earlier = first.setdefault(sample.key, sample)
        if earlier is not sample:
            yield earlier, sample


def unused_files(tree: Tree, samples: Iterable[Sample]) -> list[str]:
    """Files that lie beside the images of samples and whose names are not images' names."""
    folders = {posixpath.dirname(sample.key) for sample in samples}
    return [path for path in tree.files if posixpath.dirname(path) in folders and not is_image_name(path)]


def is_image_name(path: str) -> bool:
    return posixpath.splitext(path)[1].lower() in IMAGE_EXTENSIONS


def _sample(
    tree: Tree, path: str, category: Category, defect: str, label: int | None, mask: str | None, place: str = ""
) -> Sample:
    error = None if path in tree.file_set else DIRECTORY if path in tree.directory_set else MISSING
    return Sample(path, category.name, category.prompt, defect, label, mask, place or path, error)


def _category(benchmark: Benchmark, source_name: str, place: str) -> Category:
    category = benchmark.category(source_name)
    if category is None:
        known = ", ".join(category.name for category in benchmark.categories)
        raise ZsadError(
            f"{place}: {source_name} is no category of {benchmark.name} (known: {known}). Take it out of SOURCE, "
            f"or pack it as data of your own: --layout mvtec --name NAME"
        )
    return category


def _headct_labels(tree: Tree, table: str) -> Iterator[tuple[int, int, int]]:
    rows = csv.reader(tree.read(table).decode("utf-8-sig").splitlines())
    for line, row in enumerate(rows, 1):
        cells = [cell.strip() for cell in row]
        if line == 1 or not any(cells):
            continue
        if len(cells) != 2 or not cells[0].isdecimal() or cells[1] not in ("0", "1"):
            raise ZsadError(f"{table} line {line}: {','.join(cells)!r} is not an image number and 0 or 1")
        yield line, int(cells[0]), int(cells[1])


def _roots(tree: Tree, folders: tuple[str, ...]) -> list[str]:
    """The folders that hold images in each of `folders`; only the least deep ones."""
    held = [folder for folder in tree.images_by_folder if posixpath.basename(folder) == folders[0]]
    parents = [posixpath.dirname(folder) for folder in held]
    roots = [root for root in parents if all(posixpath.join(root, name) in tree.images_by_folder for name in folders)]
    depths = [root.count("/") + bool(root) for root in roots]
    return sorted(root for root, depth in zip(roots, depths) if depth == min(depths))


def _one_root(benchmark: Benchmark, tree: Tree, folders: tuple[str, ...], looked_for: str) -> str:
    roots = _roots(tree, folders)
    if not roots:
        raise _nothing(benchmark, looked_for)
    if len(roots) > 1:
        raise ZsadError(f"several folders hold {' and '.join(folders)}: {', '.join(roots)}; give one of them as SOURCE")
    return roots[0]


def _nothing(benchmark: Benchmark, looked_for: str) -> ZsadError:
    return ZsadError(f"{benchmark.name}: no images found there. Looked for {looked_for}")


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _stem(path: str) -> str:
    return posixpath.splitext(posixpath.basename(path))[0]


def _tidy(path: str) -> str:
    return posixpath.normpath(path.replace("\\", "/"))


def _check_name(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ZsadError(f"{path.encode(errors='replace').decode()}: the file name is not UTF-8; rename it") from None
