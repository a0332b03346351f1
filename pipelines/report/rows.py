"""The rows of a report: which columns it takes from the prediction files, and how two runs differ on an image."""

from __future__ import annotations

import pandas as pd

GROUP = ["benchmark", "category"]
COLUMNS = ["defect", "sha256", "score_std", "error"]  # besides those that finished.read_images always reads


def add_other_run(rows: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """The rows with those of another run over the same images beside them.

    `other`: its score, NaN where it has none. `apart`: rank there - rank here, as a share of the images of the category
    that both runs scored, in (-1, 1); positive: more suspicious here. Ranks count from the highest score, equal scores
    share the mean of theirs: scores of two methods have scales of their own. Images are the same where benchmark, key
    and bytes are.
    """
    others = others[["benchmark", "key", "sha256", "score"]].rename(columns={"score": "other"})
    both = rows.merge(others, on=["benchmark", "key", "sha256"], how="left", validate="many_to_one")
    scored = both[both["score"].notna() & both["other"].notna()].groupby(GROUP, observed=True)
    ranks = scored[["score", "other"]].rank(ascending=False)
    both["apart"] = (ranks["other"] - ranks["score"]) / scored["score"].transform("size")
    return both
