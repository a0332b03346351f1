"""The shard contract: its Parquet schema, one file's writing and reading, and the manifest that lies beside the files.

`<root>/<benchmark>/<split>-00000-of-00012.parquet` and `<root>/<benchmark>/manifest.json`; the manifest comes last, so
a folder that has one is a finished pack.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import parquet, storage
from zsad_core.benchmarks.table import LEVELS
from zsad_core.errors import UsageError, ZsadError

MANIFEST = "manifest.json"
WARNINGS_SHOWN = 3

# label: 0 normal, 1 anomalous, null unknown. image: the original bytes. mask: 1-bit PNG at the size of the upright
# image; null with a mask_error where the source's cannot be used, and where a normal sample needs none. sha256: hex, of
# the image bytes. error: why there is no image that can be used.
SHARD_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("defect", pa.string(), nullable=False),
        pa.field("label", pa.int8()),
        pa.field("image", pa.binary()),
        pa.field("mask", pa.binary()),
        pa.field("height", pa.int32()),
        pa.field("width", pa.int32()),
        pa.field("sha256", pa.string()),
        pa.field("error", pa.string()),
        pa.field("mask_error", pa.string()),
    ]
)
ENCODED = ("image", "mask")  # compressed by their own formats
REPEATED = ("benchmark", "category", "prompt", "split", "defect")  # in many rows of a shard

PACK_AGAIN = "pack this benchmark again with --overwrite"


@dataclass(frozen=True)
class ShardSet:
    """A packed benchmark: the folder's URI and its manifest."""

    uri: str
    manifest: dict[str, Any]

    def shard_uri(self, file: dict[str, Any]) -> str:
        """URI of one entry of the manifest's `files`."""
        return storage.join(self.uri, file["name"])


def shown_warnings(manifest: dict[str, Any]) -> list[str]:
    """The first warnings of a pack as lines for the user, and how many more the manifest holds."""
    name, warnings = manifest["benchmark"], manifest["warnings"]
    more = len(warnings) - WARNINGS_SHOWN
    lines = [f"warning: {name}: {warning}" for warning in warnings[:WARNINGS_SHOWN]]
    return lines + ([f"warning: {name}: and {more} more, all in {MANIFEST}"] if more > 0 else [])


def shard_name(split: str, index: int, count: int) -> str:
    return f"{split}-{index:05d}-of-{count:05d}.parquet"


def is_shard_name(name: str) -> bool:
    """Whether packing gives files such a name, the unfinished ones of a killed process included."""
    return bool(re.fullmatch(r"\.?\w+-\d{5,}-of-\d{5,}\.parquet(\.[0-9a-f]+\.tmp)?", name))


def write_shard(uri: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Write one shard and return its entry for the manifest: name, rows, bytes, sha256. Equal rows give equal bytes."""
    others = [name for name in SHARD_SCHEMA.names if name not in ENCODED]
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_pylist(rows, schema=SHARD_SCHEMA),
        sink,
        row_group_size=len(rows),
        compression={name: "none" if name in ENCODED else "zstd" for name in SHARD_SCHEMA.names},
        use_dictionary=list(REPEATED),
        write_statistics=others,
    )
    content = sink.getvalue().to_pybytes()
    storage.write_bytes(uri, content)
    return {
        "name": uri.rsplit("/", 1)[-1],
        "rows": len(rows),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def read_shard(uri: str, expected: dict[str, Any] | None = None) -> pa.Table:
    """One shard as a table of SHARD_SCHEMA's columns; checked against its manifest entry `expected` where given.

    Raises ZsadError naming the file where it is missing, not what the manifest says, not Parquet, of other columns or
    with rows that break the contract.
    """
    try:
        content = storage.read_bytes(uri)
    except FileNotFoundError:
        raise ZsadError(f"{uri}: no such file; {PACK_AGAIN}") from None
    except OSError as error:
        raise ZsadError(f"{uri}: cannot be read ({error.strerror or error})") from None
    if expected and hashlib.sha256(content).hexdigest() != expected["sha256"]:
        raise ZsadError(f"{uri}: not the file that {MANIFEST} names (its sha256 differs); {PACK_AGAIN}")
    return parse_shard(uri, content)


def parse_shard(uri: str, content: bytes) -> pa.Table:
    """The table in the bytes of the shard `uri`; raises ZsadError as `read_shard` does."""
    try:
        table = parquet.read(pa.BufferReader(content), SHARD_SCHEMA)
    except parquet.OtherColumns as error:
        raise ZsadError(f"{uri}: no shard, {error}; {PACK_AGAIN}") from None
    except (pa.ArrowException, OSError) as error:
        raise ZsadError(f"{uri}: not a whole Parquet file ({parquet.reason(error)}); {PACK_AGAIN}") from None
    known = pc.and_(pc.is_valid(table["image"]), pc.is_valid(table["sha256"]))
    broken = {f"no {field.name}": pc.is_null(table[field.name]) for field in SHARD_SCHEMA if not field.nullable}
    broken["neither an image with its sha256 nor an error"] = pc.invert(pc.or_(known, pc.is_valid(table["error"])))
    broken["a label that is not 0, 1 or null"] = parquet.wrong_labels(table["label"])
    for what, rows in broken.items():
        if (number := pc.index(rows, True).as_py()) >= 0:
            raise ZsadError(f"{uri}: no shard, row {number} has {what}; {PACK_AGAIN}")
    return table


def shard_uri(root_uri: str, benchmark: str, name: str) -> str:
    """Of a benchmark packed at `root_uri`, which may be its own folder or the one above it.

    ZsadError for names that lead elsewhere: no packed benchmark has such.
    """
    if not (is_plain_name(benchmark) and is_plain_name(name)):
        raise ZsadError(f"{root_uri}: {benchmark}/{name} is no shard of a packed benchmark")
    own = storage.file_name(root_uri) == benchmark and storage.exists(storage.join(root_uri, MANIFEST))
    return storage.join(root_uri, name) if own else storage.join(root_uri, benchmark, name)


def images_in(uri: str) -> dict[str, bytes]:
    """Key -> encoded image of the shard `uri`, of which nothing else is fetched. Raises ZsadError naming it."""
    try:
        with storage.open_for_reading(uri) as file:
            table = parquet.read(file, SHARD_SCHEMA, ["key", "image"])
    except (parquet.OtherColumns, OSError, pa.ArrowException) as error:
        raise ZsadError(f"{uri}: the original images cannot be read ({parquet.reason(error)})") from None
    return {key: image for key, image in zip(table["key"].to_pylist(), table["image"].to_pylist()) if image}


def find_manifests(root_uri: str, names: list[str] | None = None) -> list[ShardSet]:
    """The packed benchmarks below `root_uri` by name, or only those called `names` (in any case).

    A benchmark's own folder gives that benchmark.

    Raises ZsadError where there are none, where a packing was interrupted and where a file of a manifest is missing;
    UsageError for a name that is not there.
    """
    finished, unfinished = list_shard_sets(root_uri)
    if not finished and not unfinished:
        raise ZsadError(f"{root_uri}: no shards there; pack first: zsad pack BENCHMARK SOURCE {root_uri}")
    there = [*finished, *unfinished]
    wanted = there if names is None else [_named(name, there, root_uri) for name in names]
    for name in wanted:
        if name in unfinished:
            raise ZsadError(
                f"{unfinished[name]}: shards without {MANIFEST}, its packing was interrupted; pack it again"
            )
    sets = [read_shard_set(finished[name]) for name in dict.fromkeys(wanted)]
    for shard_set in sets:
        if shard_set.manifest["benchmark"] != shard_set.uri.rsplit("/", 1)[-1]:
            raise ZsadError(
                f"{shard_set.uri}: holds the shards of {shard_set.manifest['benchmark']}, a folder has to be called as "
                "its benchmark; move it to a folder of its own, or rename it"
            )
        present = set(storage.list_names(shard_set.uri))
        missing = [file["name"] for file in shard_set.manifest["files"] if file["name"] not in present]
        if missing:
            raise ZsadError(
                f"{storage.join(shard_set.uri, missing[0])}: no such file, but {MANIFEST} names it "
                f"({len(missing)} missing in all); {PACK_AGAIN}"
            )
    return sets


def _named(name: str, there: list[str], root_uri: str) -> str:
    """The benchmark called `name`, or the only one called so in another case."""
    alike = [name] if name in there else [other for other in there if other.casefold() == name.casefold()]
    if len(alike) != 1:
        raise UsageError(f"{name}: not one of the benchmarks packed in {root_uri} ({', '.join(there)})")
    return alike[0]


def list_shard_sets(root_uri: str) -> tuple[dict[str, str], dict[str, str]]:
    """Name -> URI of the folders with a manifest, and of those with shards but none, at `root_uri` or right below."""
    root_uri = storage.normalise(root_uri)
    finished, unfinished = {}, {}
    own = storage.list_names(root_uri)
    folders = [root_uri] if MANIFEST in own else [storage.join(root_uri, name) for name in own]
    for uri in folders:
        names = storage.list_names(uri)
        if MANIFEST in names:
            finished[uri.rsplit("/", 1)[-1]] = uri
        elif any(is_shard_name(name) for name in names):
            unfinished[uri.rsplit("/", 1)[-1]] = uri
    return finished, unfinished


def read_shard_set(uri: str) -> ShardSet:
    """The manifest in the folder `uri`; raises ZsadError where it is not one."""
    manifest_uri = storage.join(uri, MANIFEST)
    try:
        manifest = storage.read_json(manifest_uri)
        _check_manifest(manifest)
    except (TypeError, ValueError, RecursionError) as error:
        raise ZsadError(f"{manifest_uri}: not a manifest of shards ({error}); {PACK_AGAIN}") from None
    return ShardSet(uri, manifest)


def _check_manifest(manifest: Any) -> None:
    """Raises TypeError or ValueError saying where the manifest is not as `pack` writes it."""
    _check_facts("it", manifest, _MANIFEST_FACTS)
    json.dumps(manifest, ensure_ascii=False).encode()  # no halves of a surrogate pair, which no file can hold
    for number, file in enumerate(manifest["files"], 1):
        _check_facts(f"files, entry {number}", file, _FILE_FACTS)
    names = [file["name"] for file in manifest["files"]]
    if len({*names}) < len(names):
        raise ValueError("two of its files have one name")
    for name, category in manifest["categories"].items():
        _check_facts(f"category {name!r:.80}", category, _CATEGORY_FACTS)


def _check_facts(place: str, facts: Any, wanted: dict[str, tuple[Callable[[Any], bool], str]]) -> None:
    if not isinstance(facts, dict):
        raise TypeError(f"{place} is no object")
    for name, (holds, kind) in wanted.items():
        if not holds(facts.get(name)):
            raise ValueError(f"{place}: {name} is {facts.get(name)!r:.80}, not {kind}")


def is_plain_name(value: Any) -> bool:
    """Paths are joined from names: none leads to another folder, or means something to a storage."""
    return isinstance(value, str) and bool(re.fullmatch(r"\w[\w. -]*", value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _or_none(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or holds(value)


_MANIFEST_FACTS = {
    "benchmark": (is_plain_name, "a plain name (letters, digits, '_', '-', '.' and blanks)"),
    "domain": (_or_none(_is_text), "a text"),
    "levels": (lambda value: isinstance(value, list) and all(each in LEVELS for each in value), "a list of levels"),
    "auxiliary": (_or_none(_is_text), "a text or null"),
    "variant": (_or_none(_is_text), "a text or null"),
    "mask_threshold": (_or_none(_is_count), "a whole number or null"),
    "complete": (lambda value: type(value) is bool, "true or false"),
    "warnings": (lambda value: isinstance(value, list) and all(map(_is_text, value)), "a list of texts"),
    "files": (lambda value: isinstance(value, list), "a list"),
    "categories": (lambda value: isinstance(value, dict), "an object"),
}
_FILE_FACTS = {
    "name": (
        lambda value: is_plain_name(value) and value.endswith(".parquet"),
        "a plain file name that ends in .parquet",
    ),
    "rows": (_is_count, "a whole number"),
    "bytes": (_is_count, "a whole number"),
    "sha256": (lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value)), "a sha256"),
}
_CATEGORY_FACTS = {
    "prompt": (_is_text, "a text"),
    "small_defect": (lambda value: type(value) is bool, "true or false"),
    "normal": (_is_count, "a whole number"),
    "anomalous": (_is_count, "a whole number"),
    **{
        name: (_or_none(_is_count), "a whole number or null")
        for name in ("unlabelled", "expected_normal", "expected_anomalous", "errors", "mask_errors")
    },
}
