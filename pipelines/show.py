"""One image of a run as a picture: found by its key, its original and maps read, drawn beside each other."""

from __future__ import annotations

import difflib
import io
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from pipelines.finished import prediction_files, read_facts
from pipelines.originals import origin_of_run, original_images
from pipelines.predictions import PredictionFile, read_predictions
from pipelines.texts import one_line
from zsad_core import heat_maps
from zsad_core.errors import UsageError, ZsadError
from zsad_core.figure import Panel, figure
from zsad_core.images import ImageError, decode_image
from zsad_core.map_codec import decode, unpack_mask

SIDE = 480  # pixels of a panel's longer side
_READERS = 8
_LONGEST_NAME = 120
_LABELS = {0: "normal", 1: "anomalous", None: "label unknown"}


def default_name(key: str) -> str:
    """A file name for a key: its path in one piece, without the ending."""
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", key)
    name = re.sub(r"[^\w.-]+", "-", stem).strip(".-")[-_LONGEST_NAME:]
    return f"{name or 'image'}.png"


def show(run_uri: str, key: str, benchmark: str | None = None) -> tuple[bytes, list[str]]:
    """(PNG, the lines of its caption) of the image with this key.

    ZsadError where no image has the key (naming close ones) or its map is damaged, UsageError where images of several
    benchmarks have it and `benchmark` names none of them.
    """
    facts = read_facts(run_uri)
    file, number = _find(run_uri, key, benchmark)
    row = read_predictions(file.uri).slice(number, 1).to_pylist()[0]
    if row["error"]:
        raise ZsadError(f"{key}: there is no map, the image could not be scored: {row['error']}")
    try:
        codes = decode(row["anomaly_map"], row["map_height"], row["map_width"])
        spread = row["anomaly_map_std"] and decode(row["anomaly_map_std"], row["map_height"], row["map_width"])
        mask = None if row["mask"] is None else unpack_mask(row["mask"], *codes.shape)
    except ValueError as error:
        raise ZsadError(
            f"{file.uri}: row {key!r}: damaged map or mask ({error}); remove the file and make it again"
        ) from None
    image, why = _original(run_uri, facts, file, row)
    caption = _caption(row, file.benchmark, why)
    picture = figure(_panels(codes, spread, mask, image), caption)
    sink = io.BytesIO()
    picture.save(sink, format="PNG", optimize=True)
    return sink.getvalue(), caption


def _find(run_uri: str, key: str, benchmark: str | None) -> tuple[PredictionFile, int]:
    """The file that has the key, and the number of its row there."""
    files = prediction_files(run_uri)
    names = sorted({file.benchmark for file in files})
    if benchmark is not None and benchmark not in names:
        raise UsageError(f"--benchmark {benchmark}: the run has {', '.join(names)}")
    files = [file for file in files if benchmark in (None, file.benchmark)]
    with ThreadPoolExecutor(_READERS) as readers:
        keys = list(readers.map(lambda file: read_predictions(file.uri, ["key"])["key"].to_pylist(), files))
    found = [(file, number) for file, of_file in zip(files, keys) for number, each in enumerate(of_file) if each == key]
    if len(found) == 1:
        return found[0]
    if found:
        among = sorted({file.benchmark for file, _ in found})
        if len(among) == 1:
            raise ZsadError(f"{key}: {len(found)} images of {among[0]} have this key")
        raise UsageError(f"{key}: images of {', '.join(among)} have this key; say which by --benchmark")
    close = difflib.get_close_matches(key, [each for of_file in keys for each in of_file], n=3, cutoff=0.5)
    hint = f"; close to it: {', '.join(close)}" if close else ""
    raise ZsadError(f"{key}: no image of the run has this key{hint}")


def _original(run_uri: str, facts: dict, file: PredictionFile, row: dict) -> tuple[Image.Image | None, str | None]:
    """The original image, or why it is not there."""
    try:
        sha256s = {row["key"]: row["sha256"]}
        content = original_images(origin_of_run(run_uri, facts), file.benchmark, file.name, sha256s)
        return decode_image(content[row["key"]]), None
    except ImageError as error:
        return None, f"the original cannot be decoded: {error}"
    except (ZsadError, LookupError):
        return None, "the original image was not found"


def _panels(
    codes: np.ndarray, spread: np.ndarray | None, mask: np.ndarray | None, image: Image.Image | None
) -> list[Panel]:
    size = heat_maps.fit(image or Image.new("L", codes.shape[::-1]), SIDE)
    outline = mask if mask is not None and mask.any() else None
    outlined = ", true region outlined" if outline is not None else ""
    panels = [Panel("Image", image.resize(size, Image.Resampling.LANCZOS))] if image else []
    for title, values in (("Anomaly map" + outlined, codes), ("Deviation over the prompt samples", spread)):
        if values is not None:
            low, high = heat_maps.value_range([values])
            panels.append(Panel(title, heat_maps.overlay(values, low, high, size, image, outline), (low, high)))
    return panels


def _caption(row: dict[str, Any], benchmark: str, why: str | None) -> list[str]:
    score = f"score {row['score']:.4f}" + ("" if row["score_std"] is None else f" ± {row['score_std']:.4f}")
    label = _LABELS[row["label"]]
    if row["label"] == 1 and row["defect"] not in (None, "unknown"):
        label += f" ({row['defect']})"
    size = None if row["width"] is None else f"{row['width']} x {row['height']} pixels"
    facts = [f"{benchmark}: {row['category']}", score, label, size, why]
    return [one_line(row["key"]), ", ".join(one_line(fact) for fact in facts if fact)]
