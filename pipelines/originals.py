"""The original images behind a run's predictions, read once more from where they were scored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pipelines import archive, shards, storage
from zsad_core.errors import ZsadError


def original_images(
    run_uri: str, run: dict, benchmark: str, file_name: str, sha256s: Mapping[str, str]
) -> dict[str, bytes]:
    """Key -> encoded bytes of the images in one prediction file of a run, of those whose keys are in `sha256s`.

    `run`: the content of run.json; `file_name`: the prediction file's, `test-00000-of-00004.parquet` say. `sha256s`:
    key -> sha256 of the bytes that were scored. An image that is gone, or is another now, is left out. ZsadError where
    it is not known, or no longer true, where the images lie.
    """
    if "archive" in run:
        found = archive.images_of(run_uri, run["source"], file_name, run["archive"]["image_column"])
    else:
        found = _from_shards(run, benchmark, file_name)
    return {
        key: content
        for key, content in found.items()
        if key in sha256s and hashlib.sha256(content).hexdigest() == sha256s[key]
    }


def _from_shards(run: dict, benchmark: str, file_name: str) -> dict[str, bytes]:
    folder = shards.list_shard_sets(run["shards"])[0].get(benchmark)
    if folder is None:
        raise ZsadError(f"{run['shards']}: the shards of {benchmark} with the original images are not there any more")
    return shards.images_in(storage.join(folder, file_name))
