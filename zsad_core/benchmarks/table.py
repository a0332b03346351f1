"""The table of the 15 benchmarks: categories, prompts, published test counts; and data of one's own beside them.

The facts stand in benchmarks.json; nothing about a benchmark is written in code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

from zsad_core.errors import UsageError

OWN_LAYOUTS = ("mvtec", "curated")


@dataclass(frozen=True)
class Category:
    """One category: `prompt` is the class name in the text; the counts are those of the published test set.

    The counts are None for data of one's own. `small_defect`: its image score averages few pixels of the map.
    """

    name: str
    prompt: str
    test_normal: int | None = None
    test_anomalous: int | None = None
    small_defect: bool = False


@dataclass(frozen=True)
class Benchmark:
    """A benchmark of the table, or data of one's own (no categories given: folder names are taken).

    levels: "image" and/or "pixel", where it has labels. auxiliary: name of the set that methods learn from for this
    target. mask_threshold: a pixel of an owner's mask is anomalous above it (0..255). layout: how the owners publish
    the files, None where that is not supported. source_names: owners' folder name -> category name. test_list: stems
    of the listed test images by label (0 normal, 1 anomalous), None where every image of the source is meant.
    """

    name: str
    domain: str
    levels: tuple[str, ...]
    layout: str | None
    mask_threshold: int | None
    categories: tuple[Category, ...] = ()
    meta_key: str | None = None
    auxiliary: str | None = None
    source_names: Mapping[str, str] = field(default_factory=dict)
    variant: str | None = None
    test_list: Mapping[int, frozenset[str]] | None = None

    @property
    def published(self) -> bool:
        """Whether it stands in the table; data of one's own has no expected categories or counts."""
        return bool(self.categories)

    @property
    def test_images(self) -> int:
        """Size of the published test set."""
        return sum((category.test_normal or 0) + (category.test_anomalous or 0) for category in self.categories)

    def category(self, source_name: str) -> Category | None:
        """The category that a source calls `source_name`; None if the table has none of that name."""
        if not self.published:
            return Category(source_name, source_name.replace("_", " "))
        name = self.source_names.get(source_name, source_name)
        return next((category for category in self.categories if category.name == name), None)


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
            f"Data of your own: --layout {OWN_LAYOUTS[0]} --name {name}"
        )
    return _from_facts(facts, variant)


def own_benchmark(name: str, layout: str = OWN_LAYOUTS[0]) -> Benchmark:
    """Data of one's own called `name`: categories and prompts come from its folder names."""
    if not re.fullmatch(r"\w[\w. -]*", name):
        raise UsageError(f"--name {name!r}: use letters, digits, '_', '-', '.' and blanks, a letter or digit first")
    if name.casefold() in (facts["name"].casefold() for facts in _table()["benchmarks"]):
        raise UsageError(f"--name {name}: a benchmark of the table has this name; leave --layout out, or rename it")
    if layout not in OWN_LAYOUTS:
        raise UsageError(f"--layout {layout}: unknown. Known: {', '.join(OWN_LAYOUTS)}")
    return Benchmark(name, domain="own", levels=("image", "pixel"), layout=layout, mask_threshold=128)


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
        source_names=facts.get("source_names", {}),
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
        variant=variant,
        categories=tuple(replace(category, **counts) for category in known.categories),
        test_list={label: frozenset(names) for label, names in enumerate(stems)} if all(stems) else None,
    )
