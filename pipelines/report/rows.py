"""The rows of a report: what the prediction files say of each image besides its map, and how two runs differ on it."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from pipelines import engine
from pipelines.finished import PredictionFile
from pipelines.predictions import read_predictions

GROUP = ["benchmark", "category"]
COLUMNS = ["key", "category", "defect", "label", "sha256", "score", "score_std", "error"]
NO_SCORE = "its score is missing or not finite"  # in a file that somebody else wrote


def read_rows(files: list[PredictionFile], label: str) -> pd.DataFrame:
    """A row an image, in the order of the files and of their rows; what takes long shows its progress as `label`.

    COLUMNS (score NaN exactly where error is a text), benchmark, and file, the number of the prediction file. ZsadError
    where a file is damaged.
    """
    units = [{"name": file.uri, "file": number} for number, file in enumerate(files)]
    progress, tables = engine.Progress(label, len(units), "files", patience=2), {}
    for unit in engine.map_units(units, _read_small):
        tables[unit["file"]] = unit["table"]
        progress.advance(1)
    rows = pa.concat_tables(tables[number] for number in range(len(files))).to_pandas()
    rows["file"] = pd.Series([number for number in range(len(files)) for _ in range(len(tables[number]))], dtype=int)
    rows["benchmark"] = rows["file"].map({number: file.benchmark for number, file in enumerate(files)})
    finite = rows["score"].abs() < float("inf")
    rows.loc[~finite & rows["error"].isna(), "error"] = NO_SCORE
    rows.loc[rows["error"].notna(), "score"] = float("nan")
    return rows


def _read_small(unit: dict) -> dict:
    return {**unit, "table": read_predictions(unit["name"], COLUMNS)}


def add_other_run(rows: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """The rows with those of another run over the same images beside them.

    `other`: its score, NaN where it has none. `apart`: rank there - rank here, as a share of the images of the category
    that both runs scored, in (-1, 1); positive: more suspicious here. Ranks count from the highest score, equal scores
    share the mean of theirs: scores of two methods have scales of their own. Images are the same where benchmark, key
    and bytes are.
    """
    others = others[["benchmark", "key", "sha256", "score"]].rename(columns={"score": "other"})
    both = rows.merge(others, on=["benchmark", "key", "sha256"], how="left", validate="many_to_one")
    scored = both[both["score"].notna() & both["other"].notna()].groupby(GROUP)
    ranks = scored[["score", "other"]].rank(ascending=False)
    both["apart"] = (ranks["other"] - ranks["score"]) / scored["score"].transform("size")
    return both
