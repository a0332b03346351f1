"""Parquet files of any origin: read where what they hold fits into memory, which their footers need not tell truly.

A few kilobytes can decode to gigabytes: compressed pages, and one long text that a dictionary repeats for every row.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MAX_BYTES = 2**30  # that a file may decode to beyond its own size

_VALUE = 16  # bytes of a value in memory, beside a text's own
_FOOTER = 2**22  # bytes of a footer that are looked through
_ENCODINGS = (0, 2, 3, 8)  # plain, dictionary, run lengths, dictionary: others build texts from texts before them

# Thrift's kinds of values, and where Parquet's definition has what is needed: (number of the field, kind).
_BYTE, _I32, _I64, _BYTES, _LIST, _STRUCT = 3, 5, 6, 8, 9, 12
_GROUPS, _ROWS, _COLUMNS, _COLUMN = (4, _LIST), (3, _I64), (1, _LIST), (3, _STRUCT)
_PATH, _LENGTH, _FIRST_DATA, _FIRST_DICTIONARY = (3, _LIST), (7, _I64), (9, _I64), (11, _I64)
_PAGE, _UNPACKED, _PACKED = (1, _I32), (2, _I32), (3, _I32)
_ENCODING_OF = {0: ((5, _STRUCT), (2, _I32)), 3: ((8, _STRUCT), (4, _I32))}  # by the kind of a page with data
_DICTIONARY_PAGE = 2


class OtherColumns(ValueError):
    """A column is missing, or of another type; the message says which."""


def open_file(source: BinaryIO | pa.NativeFile) -> pq.ParquetFile:
    """The file by its footer, nothing else is read. Raises ArrowException or OSError where it is damaged."""
    try:
        return pq.ParquetFile(source, page_checksum_verification=True)
    except UnicodeDecodeError:
        raise pa.ArrowInvalid("a column's name is no text") from None


def read(source: BinaryIO | pa.NativeFile, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """The columns of `schema`, or those called `columns`, of an open Parquet file.

    Raises OtherColumns, or ArrowException or OSError where the file is damaged or would decode to too much.
    """
    if columns is None and not isinstance(source, pa.NativeFile):
        source = pa.BufferReader(source.read())  # looked at twice, fetched once
    names = schema.names if columns is None else columns
    file = open_file(source)
    there = file.schema_arrow  # made anew each time that it is asked for
    for name in names:
        position = there.get_field_index(name)
        if position < 0:
            raise OtherColumns(f"it has no column {name}")
        if (found := there.field(position).type) != (wanted := schema.field(name).type):
            raise OtherColumns(f"column {name} is {found}, not {wanted}")
    check_size(source, names)
    table = file.read(names)
    table.validate(full=True)  # texts that are no UTF-8
    return table


def check_size(
    source: BinaryIO | pa.NativeFile, names: Collection[str], group: int | None = None, at_once: int | None = None
) -> None:
    """Raises ArrowException where the columns called `names` (`image.bytes` where one lies in another) would decode to
    too much: all of the file, or its row group `group`, of which so many rows are decoded `at_once`."""
    try:
        _check_size(source, names, group, at_once)
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise pa.ArrowInvalid(str(error) if type(error) is _TooMuch else "its pages cannot be found") from None


def whole_file(table: pa.Table, metadata: dict[str, str], repeated: Collection[str]) -> bytes:
    """The bytes of a file of a table; equal tables give equal bytes, whatever their chunks.

    `metadata`: what the file itself says; `repeated`: columns whose values stand in many rows.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(metadata).combine_chunks(),
        sink,
        compression="zstd",
        use_dictionary=list(repeated),
        write_page_checksum=True,
    )
    return sink.getvalue().to_pybytes()


def reason(error: Exception) -> str:
    """One line of what Arrow says."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def wrong_labels(labels: pa.ChunkedArray) -> pa.ChunkedArray:
    """Where a label is neither 0 (normal), 1 (anomalous) nor null (unknown)."""
    return pc.invert(pc.is_in(labels, pa.array([0, 1, None], labels.type)))


class _TooMuch(ValueError):
    pass


def _check_size(
    source: BinaryIO | pa.NativeFile, names: Collection[str], only: int | None, at_once: int | None
) -> None:
    """Raises _TooMuch, and ValueError, TypeError, LookupError or RecursionError where headers are no such.

    By its own reading of the headers: pyarrow's view of a damaged footer ends the process.
    """
    size = source.seek(0, os.SEEK_END)
    packed = unpacked = 0
    groups = _footer(source, size)[_GROUPS]
    for group in groups if only is None else [groups[only]]:
        rows = group[_ROWS] if at_once is None else min(at_once, group[_ROWS])
        for chunk in group[_COLUMNS] if rows else []:  # without rows nothing is read
            column = chunk[_COLUMN]
            if b".".join(column[_PATH]).decode() not in names:
                continue
            start, length = column[_FIRST_DATA], column[_LENGTH]
            if 0 < (dictionary := column.get(_FIRST_DICTIONARY, 0)) < start:
                start = dictionary
            packed += length
            if min(start, length, rows) < 0 or packed > size:
                raise _TooMuch("its columns lie over each other or outside of it")
            source.seek(start)
            unpacked += _VALUE * rows + _unpacked(source.read(length), rows)
            if unpacked > size + MAX_BYTES:
                raise _TooMuch(f"{size:,} bytes that decode to more than {size + MAX_BYTES:,}")


def _footer(source: BinaryIO | pa.NativeFile, size: int) -> dict:
    source.seek(max(0, size - 8))
    length = int.from_bytes(source.read(4), "little")
    if length > _FOOTER:
        raise _TooMuch(f"its footer has {length:,} bytes, more than {_FOOTER:,}: write it with fewer row groups")
    source.seek(size - 8 - length)
    return _struct(source.read(length), 0)[0]


def _unpacked(chunk: bytes, rows: int) -> int:
    """The most bytes that the pages of a column take in memory, a dictionary's once for every row."""
    total = position = 0
    while position < len(chunk):
        header, position = _struct(chunk, position)
        size, length, page = header[_UNPACKED], header[_PACKED], header[_PAGE]
        if min(size, length) < 0:
            raise ValueError("a page of negative size")
        if page in _ENCODING_OF:
            data, encoding = _ENCODING_OF[page]
            if (number := header[data][encoding]) not in _ENCODINGS:
                raise _TooMuch(f"the encoding number {number}; write it with plain or dictionary encoding")
        total += size + (rows * size if page == _DICTIONARY_PAGE else 0)
        position += length
    return total


def _struct(content: bytes, position: int) -> tuple[dict, int]:
    """A struct in Thrift's compact protocol as {(field, kind): value}, and the position behind it."""
    fields, field = {}, 0
    while head := content[position]:
        position += 1
        if head >> 4:
            field += head >> 4
        else:
            field, position = _number(content, position)
        kind = head & 15
        if kind in (1, 2):  # true and false, in the head itself
            continue
        if (field, kind) in fields:
            raise ValueError("a field that is there twice")
        fields[field, kind], position = _value(content, position, kind)
    return fields, position + 1


def _value(content: bytes, position: int, kind: int) -> tuple[Any, int]:
    if kind == _STRUCT:
        return _struct(content, position)
    if kind in (4, _I32, _I64):
        return _number(content, position)
    if kind == _BYTES:
        length, position = _varint(content, position)
        return content[position : position + length], position + length
    if kind == _LIST:
        count, element = content[position] >> 4, content[position] & 15
        position += 1
        if count == 15:
            count, position = _varint(content, position)
        values = []
        for _ in range(count):
            value, position = _value(content, position, element)
            values.append(value)
        return values, position
    if kind in (1, 2, _BYTE):
        return content[position], position + 1
    raise ValueError(f"kind {kind} of a value")


def _varint(content: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = content[position]
        position += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, position
        if shift > 63:
            raise ValueError("a number of too many bytes")


def _number(content: bytes, position: int) -> tuple[int, int]:
    """A signed number: 0, -1, 1, -2, ... are written as 0, 1, 2, 3, ..."""
    number, position = _varint(content, position)
    return number >> 1 ^ -(number & 1), position
