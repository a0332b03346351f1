"""The rows of a leaderboard: runs read, put together where they belong to one entry, and named."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

from pipelines import storage
from pipelines.runs import is_untrained
from pipelines.tables import COLUMNS, COUNTS, made_by, options_in_words
from zsad_core.errors import UsageError, ZsadError


class Run(NamedTuple):
    """A run: its URI and the content of its `metrics/results.json`."""

    uri: str
    results: dict

    @property
    def settings(self) -> dict:
        return self.results["run"]


class Entry(NamedTuple):
    """A method as it was run, by one run or by several, of other seeds or of other benchmarks."""

    name: str
    runs: list[Run]

    @property
    def method(self) -> str:
        return self.runs[0].settings["method"]

    def runs_of(self, benchmark: str) -> list[Run]:
        return [run for run in self.runs if benchmark in run.results["benchmarks"]]

    def facts(self) -> dict:
        """What leaderboard.json says of the entry."""
        of_model: dict[str, list[dict]] = {}
        for run in self.runs:
            of_model.setdefault(_without_seeds(run.settings), []).append(run.settings)
        lines = dict.fromkeys(made_by(_with_all_seeds(settings)) for settings in of_model.values())
        return {
            "name": self.name,
            "kind": "run",
            "method": self.method,
            "made_by": " ".join(lines),
            "untrained": any(is_untrained(run.settings) for run in self.runs),
            "seeds": _seeds([run.settings for run in self.runs]),
            "runs": [run.uri for run in self.runs],
        }


def read_entries(arguments: list[str]) -> list[Entry]:
    """The entries that `RUN` or `NAME=RUN` arguments make, in their order.

    Runs of one NAME are one entry, and so are runs without a name that differ in nothing but the seed, of the prompt
    samples or of the training. Raises ZsadError for a run without whole results, and where two runs of an entry would
    have to be merged first.
    """
    named: dict[tuple[str, str], list[Run]] = {}
    places = [storage.normalise(uri) for _, uri in map(name_and_run, arguments)]
    for uri in places:
        if places.count(uri) > 1:
            raise UsageError(f"{uri}: given {places.count(uri)} times")
    for argument, uri in zip(arguments, places):
        name, run = name_and_run(argument)[0], Run(uri, _read_results(uri))
        key = ("name", name) if name else ("settings", _without_seeds(run.settings))
        named.setdefault(key, []).append(run)
    names = _names(named)
    entries = [Entry(names[key], runs) for key, runs in named.items()]
    for entry in entries:
        _check_runs(entry)
    return entries


def name_and_run(argument: str) -> tuple[str | None, str]:
    """`NAME=RUN` as its parts; a RUN alone may hold a "=" too, behind a "/" or a ":"."""
    name, equals, run = argument.partition("=")
    if not equals or not name.strip() or "/" in name or ":" in name:
        return None, argument
    if not run:
        raise UsageError(f"{argument}: name a run behind the =")
    return name.strip(), run


def _read_results(run: str) -> dict:
    uri = storage.join(run, "metrics", "results.json")
    if not storage.exists(uri):
        if not storage.is_directory(run):
            raise ZsadError(f"{run}: no such folder; name the folder of a run")
        if not storage.exists(storage.join(run, "run.json")):
            raise ZsadError(f"{run}: no run (no metrics/results.json and no run.json); name what `zsad evaluate` made")
        raise ZsadError(f"{run}: no metrics/results.json there; run `zsad reduce {run}` first")
    results = storage.read_json(uri)
    try:
        made_by(results["run"]), is_untrained(results["run"])
        for benchmark in results["benchmarks"].values():
            _ = benchmark["domain"], [*benchmark["levels"]]
            _check_values(benchmark["mean"])
            for category in benchmark["categories"].values():
                _ = [category[count] + 0 for count in COUNTS], category["expected"]
                _check_values(category)
                for defect in category["defects"].values():
                    _check_values(defect)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ZsadError(
            f"{uri}: not what this version's `zsad reduce` writes ({error!r}); run `zsad reduce {run}` again"
        ) from None
    return results


def _check_values(groups: dict) -> None:
    for column in COLUMNS:
        if groups[column.group] is not None:
            value = groups[column.group][column.metric]["value"]
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{column.name} is {value}")


def _check_runs(entry: Entry) -> None:
    if len(methods := {run.settings["method"] for run in entry.runs}) > 1:
        raise UsageError(f"{entry.name}: runs of several methods ({', '.join(sorted(methods))}) cannot have one name")
    covered: dict[tuple[str, str], str] = {}
    for run in entry.runs:
        for benchmark in run.results["benchmarks"]:
            there = covered.setdefault((_as_text(run.settings), benchmark), run.uri)
            if there != run.uri:
                raise ZsadError(
                    f"{there} and {run.uri} have the same settings and seed and both cover {benchmark}; merge them "
                    f"with `zsad reduce {there} {run.uri} --out MERGED` and name MERGED instead"
                )


def _names(named: dict[tuple[str, str], list[Run]]) -> dict[tuple[str, str], str]:
    """A name for every entry: the given one, or the method and those settings that tell it from the others'."""
    names = {key: key[1] for key in named if key[0] == "name"}
    unnamed = {key: runs[0].settings for key, runs in named.items() if key[0] == "settings"}
    for key, settings in unnamed.items():
        others = [each for other, each in unnamed.items() if other != key and each["method"] == settings["method"]]
        parts = _telling(settings, others)
        name = plain = f"{settings['method']} ({', '.join(parts)})" if parts else settings["method"]
        number = 1
        while name in names.values():
            number += 1
            name = f"{plain} #{number}"
        names[key] = name
    return names


def _telling(settings: dict, others: list[dict]) -> list[str]:
    """Descriptions of the few settings, the most telling first, that together tell these from all `others`."""
    first = ["checkpoints", "backbone", "image_size", "samples", "precision"]
    further = dict.fromkeys(
        key for each in [settings, *others] for key in each if key not in (*first, "method", "seed")
    )
    telling = []
    for key in [*first, *further, "checkpoint contents"]:
        described = _described(key, settings)
        alike = [each for each in others if _described(key, each) == described]
        if len(alike) < len(others):
            telling.append(described)
            others = alike
    return telling


def _described(key: str, settings: dict) -> str:
    if key == "checkpoints":
        return " + ".join(facts["file"] for facts in settings["checkpoints"].values())
    if key == "checkpoint contents":
        return " + ".join(str(facts.get("sha256"))[:8] for facts in settings["checkpoints"].values())
    if key == "options":
        return options_in_words(settings) or "default options"
    value: Any = settings.get(key)
    if key in ("backbone", "precision"):
        return str(value)
    return f"{value} pixels" if key == "image_size" else f"{key} {value}"


def _without_seeds(settings: dict) -> str:
    """What two runs have alike that differ in their seeds alone: of a training what it was, whatever came of it."""
    checkpoints = {name: facts.get("recipe", facts) for name, facts in settings["checkpoints"].items()}
    return _as_text({key: value for key, value in settings.items() if key != "seed"} | {"checkpoints": checkpoints})


def _with_all_seeds(of_runs: list[dict]) -> dict:
    """The settings of runs that differ in their seeds alone, with all of these."""
    first = of_runs[0]
    checkpoints = {
        name: facts | {"training_seed": _listed({each["checkpoints"][name]["training_seed"] for each in of_runs})}
        if "training_seed" in facts
        else facts
        for name, facts in first["checkpoints"].items()
    }
    return first | {"seed": _listed({each["seed"] for each in of_runs}), "checkpoints": checkpoints}


def _seeds(of_runs: list[dict]) -> list[int]:
    """Those of the prompt samples, or where only the trainings' differ, of these."""
    of_prompts = {each["seed"] for each in of_runs}
    of_training = {
        facts["training_seed"] for each in of_runs for facts in each["checkpoints"].values() if "training_seed" in facts
    }
    return sorted(of_training if len(of_prompts) == 1 < len(of_training) else of_prompts)


def _as_text(settings: dict) -> str:
    return json.dumps(settings, sort_keys=True)


def _listed(seeds: set) -> str:
    return ", ".join(str(seed) for seed in sorted(seeds))
