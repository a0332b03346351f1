"""Which checkpoint serves which target benchmark: none is judged on what it was trained on."""

from __future__ import annotations

from pipelines import storage
from pipelines.runs import UNTRAINED
from zsad_core import checkpoints
from zsad_core.benchmarks.table import benchmarks as benchmarks_of_the_table
from zsad_core.errors import UsageError

DEFAULT_AUXILIARY = "VisA"  # the published protocol's auxiliary set for every target but VisA itself


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
    file = _checkpoint_of(file if told else option)
    own = _named_auxiliary(file)
    if told and own and told != own:
        raise UsageError(f"--checkpoint {option}: it was trained on {own}, as the file itself says, not on {told}")
    return told or own or file, file


def _checkpoint_of(file: str) -> str:
    """A training's folder stands for the checkpoint in it."""
    uri = storage.normalise(file)
    if file.endswith((".pth", checkpoints.SUFFIX)) or not storage.is_directory(uri):
        return file
    checkpoint = storage.join(uri, "checkpoint.safetensors")
    if not storage.exists(checkpoint):
        raise UsageError(f"--checkpoint {file}: a folder without a checkpoint.safetensors; name a file")
    return checkpoint


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
