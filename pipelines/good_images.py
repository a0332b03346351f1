"""Which images are known to be good: another run's, or those of keys in a file or of a pattern; and labels from a file.

Keys are a run's own; a file that names one that the run does not have is refused.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from pipelines import console, storage
from pipelines.finished import map_peaks, prediction_files, read_facts, read_images
from pipelines.predictions import PredictionFile
from pipelines.texts import few
from zsad_core import csv_rows
from zsad_core.errors import UsageError, ZsadError

_LABELS = {"0": 0, "normal": 0, "good": 0, "1": 1, "anomalous": 1, "bad": 1}


def good_images(
    run_uri: str, which: str, files: list[PredictionFile], images: pd.DataFrame
) -> tuple[pd.DataFrame, np.ndarray]:
    """(rows of the good images with their `peak`, NaN where one could not be scored; where they are in `images`, (n,)).

    `which`: another run, a file of keys of this run, or a pattern on its keys. `files` and `images` are this run's, see
    finished.read_images; benchmark and category of the good images are this run's too. ZsadError where none is good,
    one is labelled anomalous, or the other run has other settings.
    """
    own = np.zeros(len(images), bool)
    if storage.exists(storage.join(storage.normalise(which), "run.json")):
        files = _files_of_other_run(run_uri, storage.normalise(which))
        good = _in_categories_of(images, read_images(files, "good images"))
    else:
        own[_named(images, which)] = True
        good = images[own].copy()
    if len(anomalous := good["key"][good["label"] == 1]):
        raise ZsadError(
            f"--normal {which}: {len(anomalous):,} of these images are labelled anomalous, not good "
            f"(the first: {anomalous.iloc[0]})"
        )
    good["peak"] = np.nan
    scored = good["score"].notna()
    if not scored.any():
        raise ZsadError(f"--normal {which}: none of these {len(good):,} images could be scored")
    good.loc[scored, "peak"] = map_peaks(good[scored], files, "maps of good images")
    return good, own


def labels_of(images: pd.DataFrame, uri: str) -> pd.Series:
    """Of each of the `images`: its label in a CSV file with columns `key` and `label`, else the one that it has.

    ZsadError for a key that the run does not have, and for a label that is none.
    """
    labels: dict[str, int] = {}
    for line, row in _rows_with_keys(uri, "label"):
        key, text = row["key"], row["label"]
        if not text:  # not yet looked at
            continue
        if text.lower() not in _LABELS:
            raise ZsadError(f"{uri} line {line}: the label {text!r:.80} is none of {', '.join(_LABELS)}")
        label = _LABELS[text.lower()]
        if labels.setdefault(key, label) != label:
            raise ZsadError(f"{uri} line {line}: {key} has another label further up")
    rows = _rows_of_keys(images, labels, uri)
    labelled = images["label"].copy()
    labelled.iloc[rows] = [labels[key] for key in images["key"].iloc[rows]]
    return labelled


def _files_of_other_run(run_uri: str, other_uri: str) -> list[PredictionFile]:
    if other_uri == run_uri:
        raise UsageError(f"--normal {other_uri}: the run itself; name those of its images that are good")
    here, there = map(_scored_by, (run_uri, other_uri))
    if differing := [name for name in {**here, **there} if here.get(name) != there.get(name)]:
        shown = "\n  ".join(f"{name}: {there.get(name)} | {here.get(name)}" for name in differing)
        raise ZsadError(
            f"{other_uri}: its settings are not those of {run_uri}, so its scores say nothing of that run's. "
            f"What differs (there | here):\n  {shown}"
        )
    return prediction_files(other_uri)


def _scored_by(run_uri: str) -> dict[str, Any]:
    """What a run's scores depend on besides the image and its prompt: settings, and how an archive's images are cut."""
    facts = read_facts(run_uri)
    archive = facts.get("archive", {})
    return facts["settings"] | {name: archive.get(name) for name in ("tile", "overlap") if archive.get("tile")}


def _in_categories_of(images: pd.DataFrame, good: pd.DataFrame) -> pd.DataFrame:
    """The good images of another run, under the benchmark of this run that has their category, whatever its name there.

    Where each run has one category, these are the same. Of several benchmarks that have it, it is the one of that name.
    Those of other categories keep the names that they have.
    """
    here, there = (each[["benchmark", "category"]].astype(str).drop_duplicates() for each in (images, good))
    if len(here) == len(there) == 1:
        names = {tuple(there.iloc[0]): tuple(here.iloc[0])}
    else:
        names = {}
        for name in there.itertuples(index=False, name=None):
            found = [each for each in here.itertuples(index=False, name=None) if each[1] == name[1]]
            if same := [each for each in found if len(found) == 1 or each == name]:
                names[name] = same[0]
    own = good[["benchmark", "category"]].astype(str).itertuples(index=False, name=None)
    renamed = pd.DataFrame([names.get(name, name) for name in own], good.index, ["benchmark", "category"])
    if others := sorted(set(there.itertuples(index=False, name=None)) - set(names)):
        console.say(
            f"the run does not have {few([name for _, name in others])}, whose good images are in no cut but "
            "that of all"
        )
    return good.assign(benchmark=renamed["benchmark"], category=renamed["category"])


def _named(images: pd.DataFrame, which: str) -> np.ndarray:
    """Places in `images` of the keys in a file, or of those that a pattern fits."""
    if storage.exists(storage.normalise(which)) and not storage.is_directory(storage.normalise(which)):
        uri = storage.normalise(which)
        if uri.lower().endswith(".csv"):
            keys = [row["key"] for _, row in _rows_with_keys(uri)]
        else:
            keys = storage.read_text(uri).splitlines()
        keys = [key for key in keys if key and key.strip()]
        if not keys:
            raise ZsadError(f"{which}: no keys in it")
        return _rows_of_keys(images, keys, which)
    fits = re.compile(fnmatch.translate(which)).match
    rows = np.flatnonzero([fits(key) is not None for key in images["key"]])
    if not len(rows):
        raise ZsadError(
            f"--normal {which}: no run and no file, and as a pattern it fits none of the run's {len(images):,} keys "
            f"(the first: {images['key'].iloc[0]})"
        )
    return rows


def _rows_of_keys(images: pd.DataFrame, keys: Collection[str], uri: str) -> np.ndarray:
    """Places in `images` of these keys. ZsadError where the run does not have one, or has it in several benchmarks."""
    wanted = dict.fromkeys(keys)
    rows = np.flatnonzero(images["key"].isin(list(wanted)))
    found = images["key"].iloc[rows]
    there = set(found)
    if missing := [key for key in wanted if key not in there]:
        raise ZsadError(
            f"{uri}: {len(missing):,} of {len(wanted):,} keys are not in the run (the first: {missing[0]}); "
            f"its keys are such as {images['key'].iloc[0]}"
        )
    if len(twice := found[found.duplicated()]):
        raise ZsadError(f"{uri}: {twice.iloc[0]} is a key of several images of the run, so that none is named")
    return rows


def _rows_with_keys(uri: str, *more: str) -> csv_rows.Rows:
    """The rows of a CSV file with the column `key` and these."""
    _, rows = csv_rows.table(storage.read_text(uri), uri, ("key", *more))
    for line, row in rows:
        if not row["key"]:
            raise ZsadError(f"{uri} line {line}: no key")
        yield line, row
