"""The index of a report: its rows in columns, as a script that holds one text and nothing that runs.

A page that is opened as a file may load a script beside it, but fetch nothing.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from pipelines.report.cuts import Start
from pipelines.report.rows import GROUP

NO_PICTURE = 0xFFFF
UNKNOWN = 2  # as a label
_MOST_SHARED = 255
_ABOVE = re.compile("[\U00010000-\U0010ffff]")


def report_index(rows: pd.DataFrame, cuts: dict[tuple[str, str], Start], pictures: pd.DataFrame) -> dict[str, Any]:
    """The columns and what they are coded by, as plain JSON values.

    `rows`: what finished.read_images gives with rows.COLUMNS, with or without another run beside them; `cuts`: of every
    (benchmark, category); `pictures`: cell, width, height and flags of rows, by the rows' numbers. "columns" holds
    little-endian arrays in base64: score and other float64 (NaN: none), std and apart float32, label uint8 (UNKNOWN),
    group and defect uint16 (places in "groups" and "defects"), cell uint16 (NO_PICTURE), width and height uint16, flags
    uint8. A key is the first `shared` (uint8) characters of the one before it and its own "rest". Rows of a file stand
    together: "files" has how many. "failed": [row, place in "errors"] of what could not be scored. Columns that say
    nothing are left out.
    """
    groups = sorted(cuts)
    number_of = {group: number for number, group in enumerate(groups)}
    defects = sorted(rows["defect"].dropna().unique())
    failed = rows.index[rows["error"].notna()]
    errors = sorted(rows.loc[failed, "error"].unique())
    shared, rest = _front_coded(rows["key"])
    placed = pictures.reindex(range(len(rows)))
    columns = {
        "shared": np.array(shared, "u1"),
        "score": rows["score"].to_numpy("<f8"),
        "group": np.array([number_of[group] for group in zip(*(rows[name] for name in GROUP))], "<u2"),
        "label": rows["label"].fillna(UNKNOWN).to_numpy("u1"),
        "cell": placed["cell"].fillna(NO_PICTURE).to_numpy("<u2"),
        **{name: placed[name].fillna(0).to_numpy(kind) for name, kind in _OF_PICTURES},
    }
    if rows["score_std"].notna().any():
        columns["std"] = rows["score_std"].to_numpy("<f4")
    if defects:
        numbers = {defect: number for number, defect in enumerate(defects)}
        columns["defect"] = rows["defect"].map(numbers).fillna(NO_PICTURE).to_numpy("<u2")
    if "other" in rows:
        columns |= {"other": rows["other"].to_numpy("<f8"), "apart": rows["apart"].to_numpy("<f4")}
    places = {error: number for number, error in enumerate(errors)}
    return {
        "rows": len(rows),
        "groups": [dict(zip(GROUP, group)) | cuts[group]._asdict() for group in groups],
        "defects": defects,
        "errors": errors,
        "failed": [[int(row), places[rows.at[row, "error"]]] for row in failed],
        "files": rows["file"].value_counts(sort=False).sort_index().tolist(),
        "rest": rest,
        "columns": {name: base64.b64encode(values.tobytes()).decode() for name, values in columns.items()},
    }


_OF_PICTURES = (("width", "<u2"), ("height", "<u2"), ("flags", "u1"))


def _front_coded(keys: Iterable[str]) -> tuple[list[int], list[str]]:
    shared, rest, last = [], [], ""
    for key in keys:
        # JavaScript counts characters above U+FFFF as two: what is shared ends before them.
        same = os.path.commonprefix([last[:_MOST_SHARED], key])  # noqa: RUF071, characters are what is counted
        length = len(_ABOVE.split(same, maxsplit=1)[0])
        shared.append(length)
        rest.append(key[length:])
        last = key
    return shared, rest


def index_script(index: dict[str, Any]) -> bytes:
    """A script that defines `reportIndex` as the text of the index's JSON; ASCII, so that any name can be encoded."""
    text = json.dumps(index, separators=(",", ":"), allow_nan=False)
    return b"const reportIndex = '" + text.replace("\\", "\\\\").replace("'", "\\'").encode("ascii") + b"';\n"
