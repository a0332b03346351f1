"""CSV texts as rows with the number of their line; what is wrong with one is an error that names file and line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from zsad_core.errors import ZsadError

Rows = Iterator[tuple[int, dict[str, str]]]


def lines(text: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """(number of the line, cells without blanks around them) of the lines that are not empty."""
    first = text.partition("\n")[0]
    separator = ";" if ";" in first and "," not in first else ","  # as Excel writes where the comma is for decimals
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise ZsadError(f"{file} line {reader.line_num}: not CSV ({error})") from None


def table(text: str, file: str, needed: Sequence[str] = ()) -> tuple[list[str], Rows]:
    """(names of the columns, in lower case, (number of the line, {column: cell}) of each row) of a text whose first
    line names the columns, at least those `needed`."""
    rows = lines(text, file)
    _, header = next(rows, (1, []))
    names = [name.casefold() for name in header]
    if missing := [name for name in needed if name not in names]:
        raise ZsadError(
            f"{file} line 1: the columns {', '.join(missing)} are missing; {', '.join(needed)} are needed "
            f"(it has: {', '.join(names) or 'nothing'})"
        )
    return names, _named(rows, names, file)


def _named(rows: Iterator[tuple[int, list[str]]], names: list[str], file: str) -> Rows:
    for line, cells in rows:
        if len(cells) != len(names):
            raise ZsadError(f"{file} line {line}: {len(cells)} cells, the first line names {len(names)} columns")
        yield line, dict(zip(names, cells))
