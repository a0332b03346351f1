"""The table of the 15 benchmarks: categories, prompts, published test counts; and data of one's own beside them.

The facts stand in benchmarks.json, those of one's own in a TOML file; nothing about a benchmark is written in code.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

from zsad_core.errors import UsageError, ZsadError

OWN_LAYOUTS = ("mvtec", "btad", "yes-no", "pairs", "ksdd2", "visa", "curated")
LEVELS = ("image", "pixel")
OWN_KEYS = {
    "name": str,
    "layout": str,
    "domain": str,
    "levels": list,
    "auxiliary": str,
    "mask_threshold": int,
    "categories": dict,
}
CATEGORY_KEYS = {"name": str, "prompt": str, "small_defect": bool, "test_normal": int, "test_anomalous": int}
KINDS = {str: "a text", list: "a list", int: "a whole number", dict: "a table", bool: "true or false"}


@dataclass(frozen=True)
class Category:
    """One category: `prompt` is the class name in the text; the counts are those of the published test set.

    The counts are None where data of one's own expects none. `small_defect`: its image score averages few pixels of
    the map.
    """

    name: str
    prompt: str
    test_normal: int | None = None
    test_anomalous: int | None = None
    small_defect: bool = False


@dataclass(frozen=True)
class Benchmark:
    """A benchmark of the table, or (`own`) data of one's own; without categories that takes the names of its folders.

    levels: "image" and/or "pixel", where it has labels; empty: the image's, and the pixels' if there are masks.
    auxiliary: name of the set that methods learn from for this target. mask_threshold: a pixel of an owner's mask is
    anomalous above it (0..255). layout: how the files lie on disk. published_on: "curated" where the published counts
    and figures hold on the authors' curated copies only. source_names: owners' folder name -> category name. left_out:
    owners' folders that are no part of the benchmark. variants: names of its published test lists where there are
    several, variant: which it is. test_list: stems of the listed test images by label (0 normal,
    1 anomalous), None where every image of the source is meant.
    """

    name: str
    domain: str
    levels: tuple[str, ...]
    layout: str
    mask_threshold: int | None
    categories: tuple[Category, ...] = ()
    meta_key: str | None = None
    auxiliary: str | None = None
    published_on: str | None = None
    source_names: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    variant: str | None = None
    test_list: Mapping[int, frozenset[str]] | None = None
    own: bool = False

    @property
    def test_images(self) -> int:
        """Size of the published test set."""
        return sum((category.test_normal or 0) + (category.test_anomalous or 0) for category in self.categories)

    def category(self, source_name: str) -> Category | None:
        """The category that a source calls `source_name`; None if there is none of that name."""
        if self.own and not self.categories:
            return _named_as(source_name)
        name = self.source_names.get(source_name, None if self.own else source_name)
        return next((category for category in self.categories if category.name == name), None)

    @property
    def single_category(self) -> Category:
        """The category of a layout that has no folders for categories. Raises ZsadError where there are several."""
        if len(self.categories) > 1:
            names = ", ".join(category.name for category in self.categories)
            raise ZsadError(f"{self.name}: the layout {self.layout} holds one category, not several ({names})")
        return self.categories[0] if self.categories else _named_as(self.name)


def _named_as(name: str) -> Category:
    return Category(name, name.replace("_", " "))


def benchmarks() -> tuple[Benchmark, ...]:
    """All benchmarks in the table's order, each with its default test list."""
    return tuple(_from_facts(facts) for facts in _table()["benchmarks"])


def benchmark(name: str, variant: str | None = None) -> Benchmark:
    """The benchmark called `name` (in any case), with one of its published test lists where it has several.

    Raises UsageError for a name that is not in the table and for an unknown variant.
    """
    table = _table()["benchmarks"]
    facts = next((facts for facts in table if facts["name"].casefold() == name.casefold()), None)
    if facts is None:
        known = ", ".join(facts["name"] for facts in table)
        raise UsageError(
            f"{name}: no benchmark of that name. Known: {known}. "
            f"Data of your own: a TOML file, or --layout {OWN_LAYOUTS[0]} --name {name}"
        )
    return _from_facts(facts, variant)


def own_benchmark(name: str, layout: str = OWN_LAYOUTS[0], mask_threshold: int = 128) -> Benchmark:
    """Data of one's own as options describe it. Raises UsageError naming the option that makes no sense."""
    facts = {"name": name, "layout": layout, "mask_threshold": mask_threshold}
    return _own(facts, lambda key: "--" + key.replace("_", "-"))


def benchmark_from_toml(text: str, file: str) -> Benchmark:
    """Data of one's own as the text of a TOML file describes it (keys: OWN_KEYS and CATEGORY_KEYS).

    Raises UsageError naming the file and the key.
    """
    try:
        facts = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: not valid TOML ({error})") from None
    return _own(facts, lambda key: f"{file}: {key}")


def _own(facts: dict[str, Any], place: Callable[[str], str]) -> Benchmark:
    """`place` says where the value of a key was given."""
    _check_keys(facts, OWN_KEYS, place)
    for key in ("name", "layout"):
        if key not in facts:
            raise UsageError(f"{place(key)}: missing")
    name, layout, threshold = facts["name"], facts["layout"], facts.get("mask_threshold", 128)
    known = {each["name"].casefold(): each["name"] for each in _table()["benchmarks"]}
    if not re.fullmatch(r"\w[\w. -]*", name):
        raise UsageError(
            f"{place('name')} {name!r}: use letters, digits, '_', '-', '.' and blanks, a letter or digit first"
        )
    if name.casefold() == "all":
        raise UsageError(f"{place('name')} {name}: means every benchmark; choose another")
    if name.casefold() in known:
        raise UsageError(f"{place('name')} {name}: a benchmark of the table has this name; choose another")
    if layout not in OWN_LAYOUTS:
        raise UsageError(f"{place('layout')} {layout}: unknown. Known: {', '.join(OWN_LAYOUTS)}")
    if not 0 <= threshold < 255:
        raise UsageError(f"{place('mask_threshold')} {threshold}: a grey value from 0 to 254 is needed")
    levels = facts.get("levels", [])
    if "levels" in facts and (not levels or not all(level in LEVELS for level in levels)):
        raise UsageError(f"{place('levels')} {levels}: needs one or both of {', '.join(LEVELS)}")
    auxiliary = facts.get("auxiliary")
    if auxiliary is not None and auxiliary.casefold() not in known:
        raise UsageError(f"{place('auxiliary')} {auxiliary}: no benchmark of the table ({', '.join(known.values())})")
    categories = _own_categories(facts.get("categories", {}), place)
    return Benchmark(
        name,
        domain=facts.get("domain", "own"),
        levels=tuple(level for level in LEVELS if level in levels),
        layout=layout,
        mask_threshold=threshold,
        categories=tuple(categories.values()),
        auxiliary=auxiliary and known[auxiliary.casefold()],
        source_names={folder: category.name for folder, category in categories.items()},
        own=True,
    )


def _own_categories(tables: dict[str, Any], place: Callable[[str], str]) -> dict[str, Category]:
    """Folder -> the category that its table describes."""
    categories: dict[str, Category] = {}
    for folder, facts in tables.items():
        if type(facts) is not dict:
            raise UsageError(f"{place(f'categories.{folder}')}: {facts!r} is not a table, as [categories.{folder}] is")
        _check_keys(facts, CATEGORY_KEYS, lambda key: place(f"categories.{folder}.{key}"))  # noqa: B023, called at once
        described: dict[str, Any] = {"name": folder, "prompt": folder.replace("_", " ")} | facts
        category = Category(**described)
        if category.name in (other.name for other in categories.values()):
            raise UsageError(f"{place(f'categories.{folder}.name')} {category.name}: another category has this name")
        categories[folder] = category
    return categories


def _check_keys(facts: dict[str, Any], kinds: dict[str, type], place: Callable[[str], str]) -> None:
    for key, value in facts.items():
        if key not in kinds:
            raise UsageError(f"{place(key)}: unknown key. Known: {', '.join(kinds)}")
        if type(value) is not kinds[key]:  # not isinstance: true is no number
            raise UsageError(f"{place(key)}: {value!r} is not {KINDS[kinds[key]]}")
        if value == "" or (isinstance(value, int) and key in ("test_normal", "test_anomalous") and value < 0):
            raise UsageError(f"{place(key)}: {value!r} makes no sense")


@cache
def _table() -> dict[str, Any]:
    return json.loads(resources.files(__package__).joinpath("benchmarks.json").read_text(encoding="utf-8"))


def _from_facts(facts: dict[str, Any], variant: str | None = None) -> Benchmark:
    small = set(_table()["small_defect"])
    known = Benchmark(
        name=facts["name"],
        meta_key=facts["meta_key"],
        domain=facts["domain"],
        levels=tuple(facts["levels"]),
        auxiliary=facts["auxiliary"],
        mask_threshold=facts["mask_threshold"],
        layout=facts["layout"],
        categories=tuple(Category(**row, small_defect=row["name"] in small) for row in facts["categories"]),
        published_on=facts.get("published_on"),
        source_names=facts.get("source_names", {}),
        left_out=tuple(facts.get("left_out", ())),
    )
    variants = facts.get("variants", {})
    if variant is not None and variant not in variants:
        has = f"its test lists: {', '.join(variants)}" if variants else "it has one test list only"
        raise UsageError(f"--variant {variant}: {known.name} has no such test list ({has})")
    if not variants:
        return known
    variant = variant or next(iter(variants))
    chosen = variants[variant]
    counts = {count: chosen[count] for count in ("test_normal", "test_anomalous")}
    stems = (chosen.get("normal_stems"), chosen.get("anomalous_stems"))
    return replace(
        known,
        variants=tuple(variants),
        variant=variant,
        categories=tuple(replace(category, **counts) for category in known.categories),
        test_list={label: frozenset(names) for label, names in enumerate(stems)} if all(stems) else None,
    )
