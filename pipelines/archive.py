"""What an archive holds and in which units it is scored: a run's inventory, to which images that come later are added.

`<run>/inventory/0000003.parquet`, one row an image; its unit 17 is scored into the prediction file `0000003-00017`.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import console, engine, parquet, storage
from pipelines.containers import TAR, Place, is_container, is_data, places_in, read_images
from pipelines.prompts import Prompts
from pipelines.texts import few
from zsad_core.errors import ZsadError
from zsad_core.images import ImageError, is_image_name

FOLDER = "inventory"
IMAGES_A_FILE = 8192  # of an inventory, more where one container holds more
FILES_AT_ONCE = 16
UNKNOWN = "unknown"  # the kind of defect

INVENTORY_SCHEMA = pa.schema(
    [
        ("unit", pa.int32()),
        ("key", pa.string()),
        ("category", pa.string()),
        ("prompt", pa.string()),
        ("defect", pa.string()),
        ("label", pa.int8()),
        ("file", pa.string()),  # below the source: the image's own, or the container's
        ("version", pa.string()),  # of that file; see storage.list_versions
        ("start", pa.int64()),  # see containers.Place
        ("size", pa.int64()),
        ("group", pa.int32()),
        ("error", pa.string()),
    ]
)


class Update(NamedTuple):
    """What has come since the archive was last looked through: numbers of images, `gone` those whose files are not
    there any more; `skipped`: files of other kinds, by the end of their names."""

    there: int
    new: int
    changed: int
    gone: int
    skipped: Counter


class Source(NamedTuple):
    """Where an archive lies: a folder's URI, and the files below it by their versions."""

    uri: str
    versions: dict[str, str]


def open_source(uri: str) -> Source:
    """The archive in a folder, or in one file. Raises ZsadError where there is none."""
    return Source(_folder_of(uri), storage.list_versions(uri))


def _folder_of(uri: str) -> str:
    """Where the files of an archive lie, which may be one file."""
    return uri if storage.is_directory(uri) else uri.rpartition("/")[0]


def update(run: str, source: Source, prompts: Prompts, image_column: str, unit_size: int, moved: bool) -> Update:
    """Bring the inventory of a run up to date with its source: images that are new get units of their own, those whose
    files were written anew are scored again. What is gone stays, as it was scored.

    `moved`: the files are copies of those that the inventory knows, compared by their sizes alone.
    """
    data = {file: version for file, version in source.versions.items() if is_data(file)}
    usable = [file for file in data if is_usable(file)]
    skipped = Counter(_ending(file) for file in data if not is_usable(file))
    known: dict[str, str] = {}
    numbers, there, changed, gone = [], 0, 0, 0
    categories: set[str] = set()
    for number, table in _tables(run):
        numbers.append(number)
        there += len(table)
        gone += sum(file not in data for file in table["file"].to_pylist())
        categories |= set(pc.unique(table["category"]).to_pylist())
        known |= zip(table["file"].to_pylist(), table["version"].to_pylist())
        changed += _renew(run, number, table, data, moved)
        _check_names(table, prompts)
    fresh = [file for file in usable if file not in known]
    rows = list(_rows(source, fresh, prompts, image_column, unit_size))
    _refuse_repeated(run, rows)
    _compare(prompts, categories | {row["category"] for row in rows})
    for number, part in enumerate(_parts(rows), max(numbers, default=-1) + 1):
        _write(run, number, pa.Table.from_pylist(part, INVENTORY_SCHEMA))
    return Update(there, len(rows), changed, gone, skipped)


def _compare(prompts: Prompts, categories: set[str]) -> None:
    """Say where a table of prompts and the archive have other categories: one may be misspelt."""
    if not prompts.by_category:
        return
    if unused := sorted(prompts.by_category.keys() - categories):
        console.say(f"warning: the table of prompts has {few(unused)}, of which there is no image")
    without = sorted(categories - prompts.by_category.keys())
    if without and not prompts.for_all:
        console.say(
            f"warning: the table of prompts has no row for {few(without)}: what their folder or file says is taken"
        )


def is_begun(run: str) -> bool:
    """Whether a run has listed anything."""
    return bool(storage.list_names(storage.join(run, FOLDER)))


def check_called(source: Source, prompts: Prompts) -> None:
    """Raises UsageError where an image lies in no folder and nothing says what it shows; others say so when listed."""
    for file in source.versions:
        if "/" not in file and is_image_name(file) and is_data(file):
            _row(file, Place(file), source, prompts)


def is_usable(file: str) -> bool:
    """Whether a file below the source is an image, or may hold some."""
    return is_data(file) and (is_image_name(file) or is_container(file))


def _ending(file: str) -> str:
    name = storage.file_name(file)
    return "." + name.rsplit(".", 1)[-1].lower() if "." in name else "without an ending"


def _version_differs(before: str, now: str, moved: bool) -> bool:
    return before.split(":")[0] != now.split(":")[0] if moved else before != now


def _renew(run: str, number: int, table: pa.Table, versions: dict[str, str], moved: bool) -> int:
    """Note the new versions of single files; returns how many images that are."""
    noted = table["version"].to_pylist()
    changed, containers = 0, set()
    for row, (file, before) in enumerate(zip(table["file"].to_pylist(), noted)):
        now = versions.get(file)
        if now is None or not _version_differs(before, now, moved):
            continue
        if is_container(file):
            containers.add(file)
        else:
            noted[row] = now
            changed += 1
    for file in sorted(containers):
        console.say(
            f"warning: {file} was written anew since it was listed; its images are those of before: give what is new a "
            "file of its own, or score it into another run"
        )
    if changed:
        position = table.schema.get_field_index("version")
        _write(run, number, table.set_column(position, "version", pa.array(noted, pa.string())))
    return changed


def _check_names(table: pa.Table, prompts: Prompts) -> None:
    """A table of prompts may grow, but for what is there it has to say what it said."""
    columns = (table[name].to_pylist() for name in ("key", "category", "prompt"))
    for key, category, prompt in zip(*columns):
        told = prompts.by_key.get(key, {})
        wanted = told.get("category") or category, told.get("prompt") or prompts.by_category.get(category) or prompt
        if wanted != (category, prompt):
            raise ZsadError(
                f"{key}: listed as {prompt} ({category}), the table of prompts now says {wanted[1]} ({wanted[0]}); "
                "take another folder for the run"
            )


def _rows(
    source: Source, files: list[str], prompts: Prompts, image_column: str, unit_size: int
) -> Iterator[dict[str, Any]]:
    """Inventory rows of new files, but for their units' numbers: `unit` is what stays together, in this order."""
    images = [file for file in files if is_image_name(file)]
    for position, file in enumerate(images):
        yield _row(file, Place(file), source, prompts) | {"unit": ("", None, position // unit_size)}
    containers = [file for file in files if is_container(file)]
    listed = engine.in_order("list", _places, containers, source.uri, image_column)
    for file, places in zip(containers, listed):
        for position, place in enumerate(places):
            row_in_group = position if place.group is None else place.start or 0
            yield _row(file, place, source, prompts) | {"unit": (file, place.group, row_in_group // unit_size)}


def _places(file: str, source_uri: str, image_column: str) -> list[Place]:
    return places_in(storage.join(source_uri, file), image_column)


def _row(file: str, place: Place, source: Source, prompts: Prompts) -> dict[str, Any]:
    """A member of a tar file is named by the file too, a row of a Parquet file by the folder of its file."""
    folder = file.rpartition("/")[0]
    path = file if is_image_name(file) else f"{folder}/{place.name}".lstrip("/")
    if not place.name:  # the container itself
        key = file
    elif file.lower().endswith(TAR):
        key = f"{file}/{place.name}"
    else:
        key = path
    first, *inside = path.split("/")
    # A row without a key is named after its file, which is no folder.
    lies_in = first if place.name and inside and first != file else ""
    named = prompts.of(key, lies_in, place.category, place.prompt)
    return {
        "key": key,
        "category": named.category,
        "prompt": named.prompt,
        "defect": place.defect or UNKNOWN,
        "label": place.label,
        "file": file,
        "version": source.versions[file],
        **{name: getattr(place, name) for name in ("start", "size", "group", "error")},
    }


def _refuse_repeated(run: str, rows: list[dict[str, Any]]) -> None:
    files: dict[str, str] = {}
    for row in rows:
        if row["key"] in files:
            raise ZsadError(
                f"{row['key']}: two images of this key, in {files[row['key']]} and {row['file']}; rename one"
            )
        files[row["key"]] = row["file"]
    for _, table in _tables(run, ["key", "file"]) if rows else ():
        for key, file in zip(table["key"].to_pylist(), table["file"].to_pylist()):
            if key in files:
                raise ZsadError(f"{key}: two images of this key, in {file} and {files[key]}; rename one")


def _parts(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows of an inventory file each, units numbered in it; a container is in one of them, so that it is known or
    not."""
    part: list[dict[str, Any]] = []
    unit = -1
    for _, of_file in groupby(rows, key=lambda row: row["unit"][0] or row["unit"]):
        if len(part) >= IMAGES_A_FILE:
            yield part
            part, unit = [], -1
        for _, of_unit in groupby(of_file, key=lambda row: row["unit"]):
            unit += 1
            part += [row | {"unit": unit} for row in of_unit]
    if part:
        yield part


def _write(run: str, number: int, table: pa.Table) -> None:
    """Without dictionaries: of thousands of names that differ they look like a few bytes that decode to gigabytes."""
    storage.write_bytes(storage.join(run, FOLDER, f"{number:07d}.parquet"), parquet.whole_file(table, {}, ()))


def _tables(run: str, columns: list[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
    """The inventory's files in their order, by number."""
    folder = storage.join(run, FOLDER)
    for name in storage.list_names(folder):
        stem, _, suffix = name.partition(".")
        if suffix == "parquet" and stem.isdecimal():
            yield int(stem), _table(storage.join(folder, name), columns)


def _table(uri: str, columns: list[str] | None = None) -> pa.Table:
    try:
        with storage.open_for_reading(uri) as file:
            return parquet.read(file, INVENTORY_SCHEMA, columns)
    except (parquet.OtherColumns, OSError, pa.ArrowException) as error:
        raise ZsadError(
            f"{uri}: damaged inventory ({parquet.reason(error)}); "
            "remove the run's inventory and predictions and score anew"
        ) from None


def units_of(run: str) -> Iterator[dict[str, Any]]:
    """The units of a run in their order: `file_name` of the predictions, `rows`, `images` (their rows as bytes),
    `sha256` of what these say."""
    for number, chunked in _tables(run):
        table = chunked.combine_chunks()
        units = table["unit"].to_pylist()
        start = 0
        for unit, of_unit in groupby(units):
            count = len(list(of_unit))
            images = _as_bytes(table.slice(start, count))
            start += count
            yield {
                "file_name": f"{number:07d}-{unit:05d}.parquet",
                "rows": count,
                "images": images,
                "sha256": hashlib.sha256(images).hexdigest(),
            }


def _as_bytes(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def read_unit(unit: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a unit as a shard has them, each image read from the `source`, by the Parquet files'
    `image_column`."""
    rows = pa.ipc.open_stream(unit["images"]).read_all().to_pylist()
    for row in rows:
        row |= {"image": None, "sha256": None, "mask": None, "mask_error": None, "height": None, "width": None}
    usable = (row for row in rows if row["error"] is None)
    of_files = [list(of_file) for _, of_file in groupby(usable, key=lambda row: row["file"])]

    def fetched(of_file: list[dict[str, Any]]) -> list[bytes | ImageError]:
        return read_images(unit["source"], of_file[0]["file"], of_file, unit["image_column"])

    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:  # an object store answers slowly, but many at once
        for of_file, contents in zip(of_files, threads.map(fetched, of_files)):
            for row, content in zip(of_file, contents):
                if isinstance(content, ImageError):
                    row["error"] = str(content)
                else:
                    row |= {"image": content, "sha256": hashlib.sha256(content).hexdigest()}
    return rows


def images_of(run: str, source: str, file_name: str, image_column: str) -> dict[str, bytes]:
    """Key -> encoded bytes of the images behind one prediction file, as far as they are there. ZsadError where the
    inventory does not have it."""
    number, _, unit = file_name.removesuffix(".parquet").partition("-")
    table = _table(storage.join(run, FOLDER, f"{number}.parquet"))
    rows = table.filter(pc.equal(table["unit"], int(unit)))
    source = _folder_of(source)
    read = read_unit({"images": _as_bytes(rows), "source": source, "image_column": image_column})
    return {row["key"]: row["image"] for row in read if row["image"] is not None}
