"""The original images behind a run's predictions, read once more from where they were scored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from pipelines import shards
from zsad_core.errors import ZsadError


class Origin(NamedTuple):
    """Where a run's images lie: in the packed benchmarks at `shards`, or in the archive `source` that was scored into
    `run`, in its Parquet files in the column `image_column`."""

    shards: str | None = None
    run: str | None = None
    source: str | None = None
    image_column: str | None = None


def origin_of_run(run_uri: str, run: dict) -> Origin:
    """What run.json, whose content is `run`, says of them; all None where it does not say it."""
    archive = run.get("archive")
    if isinstance(archive, dict) and run.get("source") and archive.get("image_column"):
        return Origin(None, run_uri, run["source"], archive["image_column"])
    return Origin(run.get("shards"))


def original_images(origin: Origin, benchmark: str, file_name: str, sha256s: Mapping[str, str]) -> dict[str, bytes]:
    """Key -> encoded bytes of the images in one prediction file of a run, of those whose keys are in `sha256s`.

    `file_name`: the prediction file's, `test-00000-of-00004.parquet` say. `sha256s`: key -> sha256 of the bytes that
    were scored. An image that is gone, or is another now, is left out. ZsadError where it is not known, or no longer
    true, where the images lie.
    """
    if origin.run and origin.source and origin.image_column:
        from pipelines import archive  # loads Ray, which a leaderboard does without

        found = archive.images_of(origin.run, origin.source, file_name, origin.image_column)
    elif origin.shards:
        found = shards.images_in(shards.shard_uri(origin.shards, benchmark, file_name))
    else:
        raise ZsadError("it is not known where the original images are")
    return {
        key: content
        for key, content in found.items()
        if key in sha256s and hashlib.sha256(content).hexdigest() == sha256s[key]
    }
