"""What the images of an archive are called: category and prompt by one text for all, a table, a column or the
folder."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from pipelines import storage
from zsad_core import csv_rows
from zsad_core.errors import UsageError, ZsadError

COLUMNS = ("key", "category", "prompt")


class Named(NamedTuple):
    category: str
    prompt: str


class Prompts(NamedTuple):
    """`archive`: the category of images of which nothing else says one. `for_all`: the prompt of every image, which are
    then of one category wherever they lie. `by_key`, `by_category`: a table's, which go before everything else; beside
    a table of categories `for_all` is that of the others."""

    archive: str
    for_all: str | None = None
    by_key: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    by_category: Mapping[str, str] = MappingProxyType({})

    def of(self, key: str, folder: str, category: str | None, prompt: str | None) -> Named:
        """What an image is called; `category` and `prompt` are what its container says, `folder` where it lies.

        Without anything else the folder says both, "metal_nut" as "metal nut". UsageError where nothing says what it
        shows.
        """
        told = self.by_key.get(key, {})
        by_folder = folder in self.by_category or not self.for_all
        category = told.get("category") or category or (by_folder and folder) or self.archive
        prompt = told.get("prompt") or self.by_category.get(category) or self.for_all or prompt
        if not prompt and category == self.archive:
            raise UsageError(
                f'{key}: nothing says what it shows; add --prompt "metal nut", or --prompts FILE.csv (category,prompt)'
            )
        return Named(category, prompt or category.replace("_", " ").replace("-", " "))


def read_prompts(archive: str, for_all: str | None, table: str | None) -> Prompts:
    """With the CSV file `table`: the columns prompt, and category or key, or all three; a row with a key is for that
    image.

    Raises UsageError or ZsadError naming what is wrong, by file and line.
    """
    if table is None:
        return Prompts(archive, for_all)
    by_key: dict[str, dict[str, str]] = {}
    by_category: dict[str, str] = {}
    for line, row in _rows(table):
        named = {name: row.get(name, "") for name in COLUMNS}
        key = named.pop("key")
        where: dict[str, Any] = by_key if key else by_category
        what, value = (key, named) if key else (named["category"], named["prompt"])
        if not (key or (named["category"] and named["prompt"])):
            raise ZsadError(f"{table} line {line}: neither a key, nor a category with its prompt")
        if where.setdefault(what, value) != value:
            raise ZsadError(f"{table} line {line}: {what} stands there twice")
    return Prompts(archive, for_all, by_key, by_category)


def _rows(table: str) -> csv_rows.Rows:
    uri = storage.normalise(table)
    if not storage.exists(uri):
        raise UsageError(f"{table}: no such file")
    names, rows = csv_rows.table(storage.read_text(uri), table)
    if "prompt" not in names and not {"key", "category"} <= {*names}:
        raise ZsadError(
            f"{table}: its first line has to name columns: prompt, and category or key (it has: {', '.join(names)})"
        )
    return rows
