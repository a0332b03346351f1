"""The images of an archive where they lie: single files, members of tar files, rows of Parquet files.

Listed without being read, and read again by their places; whatever is wrong with one is a text about it.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import parquet, storage
from pipelines.sources import NOT_DATA, read
from zsad_core.errors import UsageError, ZsadError
from zsad_core.images import ImageError, is_image_name

TAR, PARQUET = ".tar", ".parquet"
IMAGE_COLUMN = "image"
_IN_MEMORY = 2**27  # bytes of a Parquet file that is fetched whole rather than twice in parts
_TEXTS = ("key", "category", "prompt", "defect")


class Place(NamedTuple):
    """An image of a container: its name in it, "" for the container itself; what the container says of category,
    prompt, defect and label (None: nothing); and where it begins: the byte in a tar file, of `size` bytes, or the row
    of a Parquet file's row `group`.

    `error`: why there is no image.
    """

    name: str
    category: str | None = None
    prompt: str | None = None
    defect: str | None = None
    label: int | None = None
    start: int | None = None
    size: int | None = None
    group: int | None = None
    error: str | None = None


def is_data(path: str) -> bool:
    """Whether a path below the source is not one that other programs leave there."""
    return not any(part.startswith(".") or part in NOT_DATA for part in path.split("/"))


def is_container(path: str) -> bool:
    return path.lower().endswith((TAR, PARQUET))


def places_in(uri: str, image_column: str) -> list[Place]:
    """The images of a tar or a Parquet file, in its order; a damaged part of it is a place with an error.

    UsageError where a Parquet file has no column of images of that name.
    """
    try:
        with storage.open_for_reading(uri) as file:
            return list(_members(file)) if uri.lower().endswith(TAR) else _rows(uri, file, image_column)
    except FileNotFoundError:
        return [Place("", error="it is not there any more")]
    except (OSError, pa.ArrowException) as error:
        return [Place("", error=f"cannot be read ({parquet.reason(error)})")]


def _members(file: BinaryIO) -> Iterator[Place]:
    found: dict[str, Place] = {}
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if member.isfile() and is_data(member.name) and is_image_name(member.name):
                    # Of two members of one name the later is meant, as when they are unpacked.
                    found[member.name] = Place(member.name, start=member.offset_data, size=member.size)
                tar.members.clear()  # type: ignore[attr-defined]  # or it keeps them all
    except (tarfile.TarError, UnicodeError) as error:
        found[""] = Place("", error=f"damaged tar file ({error}): read up to its image {len(found)}")
    yield from found.values()


def _rows(uri: str, file: BinaryIO, image_column: str) -> list[Place]:
    opened = parquet.open_file(file)
    schema = opened.schema_arrow
    _image_field(uri, schema, image_column)
    columns = [name for name in (*_TEXTS, "label") if name in schema.names]
    parquet.check_size(file, columns)
    places, metadata = [], opened.metadata
    for group in range(metadata.num_row_groups):
        count = metadata.row_group(group).num_rows
        table = opened.read_row_group(group, columns)
        texts = {name: _texts(table[name]) for name in columns if name != "label"}
        labels = _labels(table["label"]) if "label" in columns else [None] * count
        for row in range(count):
            of_row: dict[str, Any] = {name: values[row] for name, values in texts.items()}
            name = of_row.pop("key", None) or f"{uri.rsplit('/', 1)[-1]}/{group}-{row}"
            places.append(Place(name, **of_row, label=labels[row], start=row, group=group))
    return places


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    try:
        return column.cast(pa.string()).to_pylist()
    except pa.ArrowException:
        return [None] * len(column)


def _labels(column: pa.ChunkedArray) -> list[int | None]:
    """0 and 1 where they are such, or the truth of a condition."""
    if not (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
        return [None] * len(column)
    numbers = column.cast(pa.int64())
    return pc.if_else(pc.is_in(numbers, pa.array([0, 1])), numbers, None).to_pylist()


def _image_field(uri: str, schema: pa.Schema, image_column: str) -> str:
    """The path of the column with the encoded bytes: itself, or the field `bytes` in it, as image data sets have it."""
    position = schema.get_field_index(image_column)
    if position < 0:
        raise UsageError(
            f"{uri}: no column {image_column}; name the one of the encoded images with --image-column "
            f"(there are: {', '.join(schema.names)})"
        )
    kind = schema.field(position).type
    if pa.types.is_struct(kind) and (field := kind.get_field_index("bytes")) >= 0:
        column, kind = f"{image_column}.bytes", kind.field(field).type
    else:
        column = image_column
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise UsageError(f"{uri}: column {column} is {kind}, not the bytes of encoded images; see --image-column")
    return column


def read_images(
    source: str, file: str, places: Sequence[dict[str, Any]], image_column: str
) -> list[bytes | ImageError]:
    """The encoded bytes of the images at `places` of one `file` below the source, in a row; or why there are none.

    A place has `start`, `size`, `group` as in Place; one of a single file has none of them. ZsadError where the storage
    fails.
    """
    try:
        if file.lower().endswith(PARQUET):
            return _rows_at(storage.join(source, file), places, image_column)
        if file.lower().endswith(TAR):
            return _members_at(storage.join(source, file), places)
        return [_or_error(source, file)]
    except FileNotFoundError:
        return [ImageError(f"{file} is not there any more")] * len(places)
    except pa.ArrowException as error:
        return [ImageError(f"{file} cannot be read ({parquet.reason(error)})")] * len(places)
    except OSError as error:
        raise ZsadError(f"{storage.join(source, file)}: reading failed ({error.strerror or error})") from None


def _or_error(source: str, file: str) -> bytes | ImageError:
    try:
        return read(source, file)
    except ImageError as error:
        return error


def _members_at(uri: str, places: Sequence[dict[str, Any]]) -> list[bytes | ImageError]:
    """One request for neighbouring members, as they mostly are."""
    begin = min(place["start"] for place in places)
    end = max(place["start"] + place["size"] for place in places)
    if end - begin > 2 * sum(place["size"] for place in places) + 2**20:
        return [
            _member(storage.read_bytes(uri, place["start"], place["start"] + place["size"]), place) for place in places
        ]
    content = storage.read_bytes(uri, begin, end)
    parts = (content[place["start"] - begin :][: place["size"]] for place in places)
    return [_member(part, place) for part, place in zip(parts, places)]


def _member(content: bytes, place: dict[str, Any]) -> bytes | ImageError:
    return content if len(content) == place["size"] else ImageError("its tar file ends before it does")


def _rows_at(uri: str, places: Sequence[dict[str, Any]], image_column: str) -> list[bytes | ImageError]:
    """Rows of one row group, whose rows before them are decoded too, and given up at once."""
    group, first, last = places[0]["group"], places[0]["start"], places[-1]["start"]
    with storage.open_for_reading(uri) as file:
        size = file.seek(0, 2)
        file.seek(0)
        source = pa.BufferReader(file.read()) if size <= _IN_MEMORY else file
        opened = pq.ParquetFile(source, page_checksum_verification=True)
        column = _image_field(uri, opened.schema_arrow, image_column)
        parquet.check_size(source, [column], group, at_once=last + 1 - first)
        images: list[bytes | None] = []
        done = 0
        for batch in opened.iter_batches(last + 1 - first, [group], [column], use_threads=False):
            if done + len(batch) > first:
                values = batch.column(0)
                values = values.field("bytes") if pa.types.is_struct(values.type) else values
                wanted = values[max(0, first - done) : last + 1 - done]
                images += wanted.to_pylist()
            done += len(batch)
            if done > last:
                break
    images += [None] * (last + 1 - first - len(images))
    return [
        ImageError("no image in its row") if image is None else image
        for image in (images[place["start"] - first] for place in places)
    ]
