"""What a training learns from and what it is validated on: categories of packed benchmarks, and their samples."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines import shards
from zsad_core.errors import UsageError, ZsadError

if TYPE_CHECKING:  # loads torch, which the driver does without
    from zsad_core.training_data import Sample

HELD_OUT, PUBLISHED = "held-out", "published"
PUBLISHED_CATEGORIES = 5  # the authors take five of a target benchmark; which, they do not say


@dataclass(frozen=True)
class Part:
    """Categories of one packed benchmark."""

    shard_set: shards.ShardSet
    categories: tuple[str, ...]

    @property
    def benchmark(self) -> str:
        return self.shard_set.manifest["benchmark"]

    def counts(self, category: str) -> tuple[int, int]:
        """Normal and anomalous images, as the manifest counts them."""
        facts = self.shard_set.manifest["categories"][category]
        return facts["normal"], facts["anomalous"]

    @property
    def judging(self) -> list[str]:
        """The categories that have both normal and anomalous images, by name: only those have an average precision."""
        return sorted(name for name in self.categories if all(self.counts(name)))

    def recorded(self) -> dict:
        """The part by content, wherever it lies."""
        files = sorted(self.shard_set.manifest["files"], key=lambda file: file["name"])
        return {"benchmark": self.benchmark, "categories": sorted(self.categories), "files": files}


def packed(shards_uri: str, name: str) -> Part:
    """All categories of a packed benchmark. Raises ZsadError where it is not packed, UsageError without masks."""
    (shard_set,) = shards.find_manifests(shards_uri, [name])
    manifest = shard_set.manifest
    if manifest["levels"] and "pixel" not in manifest["levels"]:
        raise UsageError(f"{manifest['benchmark']} has no masks: training and its validation need anomalous pixels")
    return Part(shard_set, tuple(manifest["categories"]))


def choose_validation(shards_uri: str, learnt: Part, validation: str) -> tuple[Part, Part]:
    """What is learnt from, of the auxiliary benchmark `learnt`, and what the training is validated on.

    `validation`: "held-out" (about a fifth of the auxiliary categories, which are not learnt from), "published" (five
    categories of a target benchmark, as the authors do), or BENCHMARK:CATEGORY,CATEGORY, packed in `shards_uri`.
    Raises UsageError or ZsadError where something is not packed or cannot be judged on.
    """
    name, _, listed = validation.partition(":")
    if listed:
        judged = _named(packed(shards_uri, name), [each.strip() for each in listed.split(",") if each.strip()])
    elif validation == PUBLISHED:
        judged = packed(shards_uri, "MVTec-AD" if learnt.benchmark == "VisA" else "VisA")
        judged = dataclasses.replace(judged, categories=tuple(judged.judging[:PUBLISHED_CATEGORIES]))
    elif validation == HELD_OUT:
        judged = dataclasses.replace(learnt, categories=_held_out(learnt))
    else:
        raise UsageError(
            f"--validation {validation}: {HELD_OUT}, {PUBLISHED}, or a packed benchmark with some of its categories "
            "(MVTec-AD:bottle,cable)"
        )
    if not judged.categories or set(judged.categories) - set(judged.judging):
        one_class = ", ".join(sorted(set(judged.categories) - set(judged.judging))) or "all categories"
        raise ZsadError(f"{judged.benchmark}: validation needs normal and anomalous images, which lack in {one_class}")
    if judged.benchmark == learnt.benchmark:
        rest = tuple(name for name in learnt.categories if name not in judged.categories)
        learnt = dataclasses.replace(learnt, categories=rest)
    return learnt, judged


def _named(part: Part, names: list[str]) -> Part:
    for name in names:
        if name not in part.categories:
            raise UsageError(f"{part.benchmark} has no category {name}; it has {', '.join(sorted(part.categories))}")
    return dataclasses.replace(part, categories=tuple(dict.fromkeys(names)))


def _held_out(part: Part) -> tuple[str, ...]:
    """About a fifth of the categories, at least one: those whose names have the lowest hashes, whatever the others."""
    if len(part.judging) < 1 or len(part.categories) < 2:
        raise ZsadError(
            f"{part.benchmark}: too few categories to hold one out for validation (two are needed, one of them with "
            "normal and anomalous images); name others: --validation BENCHMARK:CATEGORY"
        )
    by_hash = sorted(part.judging, key=lambda name: hashlib.sha256(name.encode()).digest())
    return tuple(sorted(by_hash[: max(1, round(len(part.categories) / 5))]))


def check_classes(name: str, labels: Collection[int]) -> None:
    """Raises ZsadError unless there are normal (0) and anomalous (1) images in what is called `name`."""
    for label, kind in enumerate(("normal", "anomalous")):
        if label not in labels:
            raise ZsadError(f"{name}: no {kind} images that can be used; training and validation need both kinds")


def read_samples(part: Part) -> tuple[list[Sample], list[str]]:
    """The samples of a part in the manifest's order, and lines that say which were left out and why.

    Left out are broken images, those without a label, and anomalous ones without a mask that can be used. Raises
    ZsadError where a shard is not what the manifest says.
    """
    samples: list[Sample] = []
    left_out: Counter[str] = Counter()
    for file in part.shard_set.manifest["files"]:
        rows = shards.read_shard(part.shard_set.shard_uri(file), file).to_pylist()
        for row in rows:
            if row["category"] in part.categories:
                if reason := _unusable(row):
                    left_out[reason] += 1
                else:
                    samples.append(_sample(row))
    lines = []
    if left_out:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
        lines.append(f"{part.benchmark}: {left_out.total()} images are left out ({reasons})")
    return samples, lines


def _unusable(row: dict) -> str | None:
    if row["error"] is not None:
        return "broken"
    if row["label"] is None:
        return "without a label"
    return "anomalous without a mask that can be used" if row["label"] == 1 and row["mask"] is None else None


def _sample(row: dict) -> Sample:
    from zsad_core.training_data import Sample

    return Sample(**{name: row[name] for name in Sample._fields})
