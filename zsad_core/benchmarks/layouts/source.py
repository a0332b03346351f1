"""A source as layouts see it: its paths, the folder in which a layout begins, and the samples that come out of it.

Folder names are compared without regard to case, blanks, `_` and `-`.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from zsad_core.benchmarks.table import Benchmark, Category
from zsad_core.errors import ZsadError
from zsad_core.images import ImageError, is_image_name

NORMAL, ANOMALOUS, UNKNOWN = "good", "anomaly", "unknown"
MISSING = "listed, but there is no such file"
DIRECTORY = "a directory where an image file should be"


@dataclass(frozen=True)
class Tree:
    """Everything below a source: relative posix paths, and how to read a small file among them.

    `read` raises ImageError, with a reason that names no file, where the file can never be read.
    """

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

    @cached_property
    def _images_by_stem(self) -> dict[str, str]:
        return {posixpath.splitext(path)[0]: path for path in reversed(self.images)}

    def image(self, path: str) -> str:
        """`path` itself, or where it is not there the image that differs from it in its extension alone."""
        if path in self.file_set or path in self.directory_set:
            return path
        return self._images_by_stem.get(posixpath.splitext(path)[0], path)

    def text(self, path: str) -> str:
        """A small text file. Raises ZsadError where it cannot be read or is not UTF-8."""
        try:
            return self.read(path).decode("utf-8-sig")
        except ImageError as error:
            raise ZsadError(f"{path}: {error}") from None
        except UnicodeDecodeError as error:
            raise ZsadError(
                f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
            ) from None

    def without(self, names: Collection[str]) -> Tree:
        """The tree less the folders and files of these names, and what lies in them."""
        files, directories = (
            [path for path in paths if not set(path.split("/")) & set(names)]
            for paths in (self.files, self.directories)
        )
        return Tree(files, directories, self.read) if names else self


@dataclass(frozen=True)
class Sample:
    """One test sample as the source lists it.

    key: path of the image in the source. label: 0 normal, 1 anomalous, None unknown. mask: path of its mask in the
    source, None where it has none. place: where the source lists it. error: why there is no image to read.
    mask_error: why its mask, which would tell the label, could not be used.
    """

    key: str
    category: str
    prompt: str
    defect: str
    label: int | None
    mask: str | None
    place: str
    error: str | None = None
    mask_error: str | None = None


def sample(
    tree: Tree,
    path: str,
    category: Category,
    label: int | None,
    mask: str | None = None,
    *,
    defect: str = ANOMALOUS,
    place: str = "",
    mask_error: str | None = None,
) -> Sample:
    """The sample of an image that may not be there; `defect` is the kind of an anomalous one."""
    error = None
    if path not in tree.file_set:
        error = DIRECTORY if path in tree.directory_set else MISSING + (f" ({place})" if place else "")
    defect = UNKNOWN if label is None else (NORMAL, defect)[label]
    return Sample(path, category.name, category.prompt, defect, label, mask, place or path, error, mask_error)


def find_root(
    benchmark: Benchmark, tree: Tree, patterns: Collection[str], looked_for: str, *, needs: Callable = all
) -> tuple[str, dict[str, list[str]]]:
    """The folder where a layout begins ("" is the source itself), and in it the folders that directly hold images.

    A pattern is a path below the root, `*` stands for any name in it. `needs` says whether all or any of the patterns
    have to be there; of several roots the least deep one is taken. Raises ZsadError where there is none, or several.
    """
    roots: dict[str, dict[str, list[str]]] = defaultdict(lambda: {pattern: [] for pattern in patterns})
    for folder in tree.images_by_folder:
        names = folder.split("/")
        for pattern in patterns:
            wanted = pattern.split("/")
            below = names[-len(wanted) :]
            if len(below) == len(wanted) and all(a == "*" or plain(a) == plain(b) for a, b in zip(wanted, below)):
                roots["/".join(names[: -len(wanted)])][pattern].append(folder)
    whole = {root: found for root, found in roots.items() if needs(found.values())}
    if not whole:
        raise nothing(benchmark, looked_for)
    depths = {root: root.count("/") + bool(root) for root in whole}
    least = sorted(root for root in whole if depths[root] == min(depths.values()))
    if len(least) > 1:
        raise ZsadError(f"several folders hold {looked_for}: {', '.join(least)}; give one of them as SOURCE")
    return least[0], whole[least[0]]


def images_in(tree: Tree, folders: Iterable[str]) -> list[str]:
    """The images directly in these folders."""
    return [path for folder in folders for path in tree.images_by_folder[folder]]


def by_stem(paths: Iterable[str], suffix: str = "") -> dict[str, str]:
    """Stem of an image -> its mask: one named as the image and `suffix`, else one named as the image."""
    masks: dict[str, str] = {}
    for path in paths:
        name = stem(path)
        masks.setdefault(name, path)
        if suffix and name.casefold().endswith(suffix):
            masks[name[: -len(suffix)]] = path
    return masks


def category_of(benchmark: Benchmark, source_name: str, place: str) -> Category:
    """The category that a source calls `source_name`. Raises ZsadError where there is none."""
    category = benchmark.category(source_name)
    if category is not None:
        return category
    folders = {name: f"{folder} or " for folder, name in benchmark.source_names.items()}
    names = [category.name for category in benchmark.categories]
    known = ", ".join(folders.get(name, "") + name for name in names)
    advice = (
        f'add [categories."{source_name}"] to its TOML file'
        if benchmark.own
        else "pack it as data of your own: --layout mvtec --name NAME"
    )
    raise ZsadError(
        f"{place}: {source_name} is no category of {benchmark.name} (known: {known}). "
        f"Rename it, take it out of SOURCE, or {advice}"
    )


def inside(path: str, place: str) -> str:
    """A path that a list of samples holds, tidied. Raises ZsadError where it does not lie inside the source."""
    tidy = posixpath.normpath(path.replace("\\", "/"))
    if not path or "\0" in path or tidy.startswith(("../", "/")) or tidy in (".", ".."):
        raise ZsadError(f"{place}: the path {path!r} does not lie inside the source")
    return tidy


def nothing(benchmark: Benchmark, looked_for: str) -> ZsadError:
    return ZsadError(f"{benchmark.name}: no images found there. Looked for {looked_for}")


def stem(path: str) -> str:
    return posixpath.splitext(posixpath.basename(path))[0]


def plain(name: str) -> str:
    """A name without what copies of a folder differ in."""
    return re.sub(r"[ _-]", "", name).casefold()


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path
