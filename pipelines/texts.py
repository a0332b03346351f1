"""Numbers, names and rows of cells as texts: for a terminal, and in Markdown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

DASH = "–"


def percent(value: float | None, signed: bool = False) -> str:
    """A fraction in percent with one decimal, a dash for None; no sign where it rounds to 0."""
    if value is None:
        return DASH
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    return "0.0" if float(text) == 0 else text


def number_of_images(number: int) -> str:
    return "1 image" if number == 1 else f"{number:,} images"


def markdown_table(head: list[str], rows: list[list[str]], texts: int = 1) -> str:
    """A table of cells in Markdown; the columns behind the first `texts` hold numbers."""
    lines = [head, ["---"] * texts + ["---:"] * (len(head) - texts), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape(name: str) -> str:
    """A name as literal text of a Markdown table cell."""
    special = r"[\\`*\[\]<>|~&#$]|(?<![^\W_])_|_(?![^\W_])"  # an underscore inside a word is no emphasis
    return re.sub(f"({special})", r"\\\1", " ".join(one_line(name).split()))


def text_table(rows: list[list[str]]) -> list[str]:
    """Rows of cells as aligned lines for a terminal; the cells behind the first are numbers."""
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        first, *numbers = (" " * (width - _width(cell)) for cell, width in zip(row, widths))
        lines.append("  ".join([row[0] + first, *(space + cell for space, cell in zip(numbers, row[1:]))]).rstrip())
    return lines


def one_line(text: str) -> str:
    """A text without what would steer a terminal: line ends and other control characters are spaces."""
    return "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)


def _width(text: str) -> int:
    """Columns of a terminal that a text takes."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def few(names: Collection[str]) -> str:
    """Some of the names, and how many more there are."""
    shown = ", ".join(list(names)[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
