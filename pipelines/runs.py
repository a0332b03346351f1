"""run.json: everything that made a run, and the refusal to continue one that was made otherwise."""

from __future__ import annotations

from typing import get_args

from pipelines import provenance, storage
from pipelines.shards import is_plain_name
from zsad_core import checkpoints
from zsad_core.benchmarks.table import benchmarks as benchmarks_of_the_table
from zsad_core.errors import UsageError, ZsadError
from zsad_core.metrics.image import ScoreRule

DEFAULT_AUXILIARY = "VisA"  # the published protocol's auxiliary set for every target but VisA itself
UNTRAINED = "random"
NONE = "none"  # stands for the backbone, or the checkpoint, of a method that has none


def check_folder(run: str) -> None:
    """Raises ZsadError where `run` is a file, or a folder that holds other things than a run."""
    provenance.check_folder(run, "run.json", "run")


def open_run(run: str, settings: dict, benchmarks: dict, shards: str) -> list[str]:
    """Create `<run>/run.json`, or check that the run that lies there was made by the same settings and shards.

    Returns the software whose version is another than when the run was begun. Raises ZsadError naming what differs.
    `settings`: what the predictions depend on besides the shards; `benchmarks`: for each its levels, categories,
    checkpoint and shard files with their checksums. `shards`: where these lie, which may change.
    """
    check_folder(run)
    identity = {"settings": settings, "benchmarks": benchmarks}
    return provenance.begin_or_go_on(run, "run.json", "run", identity, {"shards": shards}, lambda: read_run(run))


def open_archive(run: str, settings: dict, archive: dict, source: str) -> list[str]:
    """The same for a run over an archive: `archive` holds how its images are called and cut, `source` where they lie."""
    identity = {"settings": settings, "archive": archive}
    return provenance.begin_or_go_on(run, "run.json", "run", identity, {"source": source}, lambda: read_archive(run))


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


def route_checkpoints(options: list[str], auxiliaries: dict[str, str | None]) -> tuple[dict[str, str], dict[str, str]]:
    """Which checkpoint serves which benchmark.

    `options` are `FILE` or `AUXILIARY=FILE`, the benchmark that FILE was trained on, or "random" (untrained); the
    checkpoints of this package name theirs themselves. `auxiliaries` maps each target benchmark to the auxiliary set
    that the published protocol names for it, None for data of one's own. Weights trained on a set that is no benchmark
    of the table serve every target. Returns ({name: file}, {target: name}), where name is the auxiliary set, or the
    file itself where it is not known. Raises UsageError where a target would be its own auxiliary set, nothing serves
    it, or AUXILIARY is another than FILE names.
    """
    known: dict[str, str] = {}
    for option in options:
        name, file = _auxiliary_and_file(option)
        if name in known:
            raise UsageError(f"--checkpoint {option}: {name} is given twice")
        known[name] = file
    if UNTRAINED in known and len(known) > 1:
        raise UsageError("--checkpoint random: untrained weights cannot stand beside checkpoints")
    if len(bare := [name for name, file in known.items() if name == file]) > 1:
        raise UsageError(f"--checkpoint {bare[1]}: of several files each needs its auxiliary benchmark, as VisA=FILE")

    told = [name for name, file in known.items() if name != file]
    anywhere = [name for name in known if name == UNTRAINED or (name in told and name not in _table_names().values())]
    if len(anywhere) > 1:
        raise UsageError(f"--checkpoint: weights trained on {' and on '.join(anywhere)} serve every target; give one")

    routes = {}
    for target, auxiliary in auxiliaries.items():
        serving = [auxiliary, *anywhere] if auxiliary else [DEFAULT_AUXILIARY, *known]
        served_by = [name for name in serving if name in known and name != target]
        if not served_by and target in told:
            another = f"--checkpoint {auxiliary}=FILE" if auxiliary else "a checkpoint that was trained on other data"
            raise UsageError(
                f"{target} is the auxiliary set of {known[target]}: a model is not judged on what it was trained "
                f"on. Add {another}, or leave {target} out with --benchmarks"
            )
        if not served_by:
            raise UsageError(
                f"{target} is evaluated with weights trained on {auxiliary}: write --checkpoint {auxiliary}=FILE "
                f"(given: {', '.join(options)}; a file of the authors' does not say what it was trained on)"
            )
        routes[target] = served_by[0]
    return {name: known[name] for name in dict.fromkeys(routes.values())}, routes


def _auxiliary_and_file(option: str) -> tuple[str, str]:
    """`AUXILIARY=FILE` as its parts, or a FILE alone, which may hold a "=" too, with the set that it names.

    Where nothing names the set, the file stands for it.
    """
    names = _table_names()
    name, _, file = option.partition("=")
    if UNTRAINED in (option, file):
        return UNTRAINED, UNTRAINED
    told = names.get(name.casefold()) if file else None
    file = file if told else option
    own = _named_auxiliary(file)
    if told and own and told != own:
        raise UsageError(f"--checkpoint {option}: it was trained on {own}, as the file itself says, not on {told}")
    return told or own or option, file


def _named_auxiliary(file: str) -> str | None:
    """The auxiliary set that the checkpoint `file` (a path or URI) names; None for the authors', which name none."""
    if not file.endswith(checkpoints.SUFFIX):
        return None
    with storage.local_copy(file) as path:
        facts = checkpoints.read_facts(path)
    if facts is None:
        return None
    name = facts["auxiliary"]
    return _table_names().get(name.casefold(), name)


def _table_names() -> dict[str, str]:
    return {each.name.casefold(): each.name for each in benchmarks_of_the_table()}
