"""run.json: everything that made a run, and the refusal to continue one that was made otherwise."""

from __future__ import annotations

from typing import get_args

from pipelines import provenance, storage
from pipelines.shards import is_plain_name
from zsad_core.errors import ZsadError
from zsad_core.metrics.image import ScoreRule

UNTRAINED = "random"
NONE = "none"  # stands for the backbone, or the checkpoint, of a method that has none


def check_folder(run: str) -> None:
    """Raises ZsadError where `run` is a file, or a folder that holds other things than a run."""
    provenance.check_folder(run, "run.json", "run")


def check_begun(run: str, settings: dict, benchmarks: list[str]) -> None:
    """Raises ZsadError where the run that lies there is of other benchmarks, or of others than these `settings`, which
    are those that are known before any model is built."""
    check_folder(run)
    if not storage.exists(storage.join(run, "run.json")):
        return
    there = read_run(run)
    if there["benchmarks"].keys() != set(benchmarks):
        raise ZsadError(
            f"{run}: a run of {', '.join(there['benchmarks'])}, and this call is for {', '.join(benchmarks)}; give "
            "these a run folder of their own: `zsad leaderboard` puts runs of one model into one row, and "
            "`zsad reduce RUN RUN --out FOLDER` into one table"
        )
    known = {name: value for name, value in there["settings"].items() if name in settings}
    provenance.check_same(run, "run", known, settings)


def open_run(run: str, settings: dict, benchmarks: dict, shards: str) -> None:
    """Create `<run>/run.json`, or check that the run that lies there was made by the same settings and shards.

    Raises ZsadError naming what differs.
    `settings`: what the predictions depend on besides the shards; `benchmarks`: for each its levels, categories,
    checkpoint and shard files with their checksums. `shards`: where these lie, which may change.
    """
    check_begun(run, {}, list(benchmarks))
    identity = {"settings": settings, "benchmarks": benchmarks}
    provenance.begin_or_go_on(run, "run.json", "run", identity, {"shards": shards}, lambda: read_run(run))


def open_archive(run: str, settings: dict, archive: dict, source: str) -> None:
    """The same for a run over an archive: `archive` holds how its images are called and cut, `source` where they
    lie."""
    identity = {"settings": settings, "archive": archive}
    provenance.begin_or_go_on(run, "run.json", "run", identity, {"source": source}, lambda: read_archive(run))


def check_archive(run: str, known: dict, settings: dict, archive: dict) -> None:
    """Raises ZsadError where the run, whose run.json is `known`, was made by other settings, as far as these are known
    before any model is built, or of an archive that was called or cut otherwise."""
    there = {name: value for name, value in known["settings"].items() if name in settings}
    provenance.check_same(
        run, "run", {"settings": there, "archive": known["archive"]}, {"settings": settings, "archive": archive}
    )


def note_source(run: str, source: str) -> bool:
    """Have `<run>/run.json` say where the archive lies now; whether that is elsewhere than before."""
    content, now = read_archive(run), storage.without_credentials(source)
    if content["source"] == now:
        return False
    storage.write_json(storage.join(run, "run.json"), content | {"source": now})
    return True


def read_archive(run: str) -> dict:
    """The content of `<run>/run.json` of a run over an archive. Raises ZsadError where it is none."""
    uri = storage.join(run, "run.json")
    content = storage.read_json(uri)
    try:
        _ = content["settings"].keys(), content["versions"].keys(), content["archive"]["name"], content["source"]
    except (LookupError, TypeError, AttributeError):
        raise ZsadError(f"{run}: not a run of `zsad score`; choose another folder") from None
    return content


def read_run(run: str) -> dict:
    """The content of `<run>/run.json`. Raises ZsadError where there is none or where it is damaged."""
    uri = storage.join(run, "run.json")
    if not storage.exists(uri):
        raise ZsadError(f"{run}: no run there (no run.json); `zsad evaluate` makes one")
    content = storage.read_json(uri)
    if isinstance(content, dict) and "archive" in content:
        raise ZsadError(
            f"{run}: a run of `zsad score`, which has no benchmarks; see `zsad report` and `zsad threshold`"
        )
    try:
        _ = content["settings"].keys(), content["versions"].keys()
        for benchmark in content["benchmarks"].values():
            # Paths are made of them; benchmarks' names are percent-encoded in paths.
            if wrong := [file["name"] for file in benchmark["files"] if not is_plain_name(file["name"])]:
                raise TypeError(f"{wrong[0]!r:.80} is no plain name")
            _ = benchmark["levels"], benchmark["domain"], benchmark["auxiliary"], benchmark["categories"].keys()
            _ = [(file["name"], file["rows"], file["sha256"]) for file in benchmark["files"]]
    except (LookupError, TypeError, AttributeError) as error:
        raise ZsadError(f"{uri}: not what `zsad evaluate` wrote ({error!r}); remove the run, or restore it") from None
    return content


def score_rule(settings: dict) -> ScoreRule:
    """How the image scores of a run with these settings are made. Raises ZsadError for a rule that is not known."""
    rule = settings.get("image_score", "fused")  # runs of versions that knew no other do not say it
    if rule not in get_args(ScoreRule):
        raise ZsadError(
            f"the run's image_score is {rule}, which this version does not know: {', '.join(get_args(ScoreRule))}"
        )
    return rule


def is_untrained(settings: dict) -> bool:
    """Whether random weights stand where trained ones should, in the method or in the backbone."""
    return UNTRAINED in settings["checkpoints"] or settings["backbone"].endswith(f":{UNTRAINED}")
