"""Parquet files that decode to far more than they hold, or whose headers lie, are refused; whatever wrote the
others."""

import io
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import parquet

SCHEMA = pa.schema([("key", pa.string()), ("label", pa.int8()), ("content", pa.binary())])
TABLE = pa.table([[f"key {i % 5}" for i in range(40)], [0, None] * 20, [b"content"] * 40], schema=SCHEMA)


def written(table=TABLE, **options):
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dictionary": False},
        {"data_page_version": "2.0"},
        {"compression": "zstd", "row_group_size": 7},
        {"write_page_checksum": True, "write_page_index": True, "data_page_size": 64},
        {"compression": "gzip", "write_statistics": False, "store_schema": False},
    ],
)
def test_files_of_other_writers_are_read(options):
    content = written(**options)
    assert parquet.read(io.BytesIO(content), SCHEMA).equals(TABLE)
    assert parquet.read(pa.BufferReader(content), SCHEMA, ["label", "key"]).equals(TABLE.select(["label", "key"]))


def test_no_rows_and_more_columns_than_needed():
    more = TABLE.append_column("nested", pa.array([{"key": [1]}] * 40))
    assert parquet.read(io.BytesIO(written(more)), SCHEMA).equals(TABLE)
    assert parquet.read(io.BytesIO(written(TABLE.slice(0, 0))), SCHEMA).num_rows == 0


def test_columns_that_are_missing_or_others():
    with pytest.raises(parquet.OtherColumns, match="it has no column label"):
        parquet.read(io.BytesIO(written(TABLE.drop_columns(["label"]))), SCHEMA)
    nested = TABLE.set_column(0, "key", pa.array([{"key": "a"}] * 40))
    with pytest.raises(parquet.OtherColumns, match="column key is struct<.*, not string"):
        parquet.read(io.BytesIO(written(nested)), SCHEMA)
    with pytest.raises(parquet.OtherColumns, match="it has no column key"):
        parquet.read(io.BytesIO(written(pa.table([TABLE["key"]] * 2, ["key", "key"]))), SCHEMA, ["key"])


def bombs():
    """Of one column each: what makes many bytes of few."""
    long = pa.array(["x" * 1000])
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), long)
    return {
        "a text that a dictionary repeats": written(pa.table({"key": repeated}), store_schema=False),
        "a page that inflates": written(
            pa.table({"key": ["x" * 20_000_000]}), compression="zstd", use_dictionary=False
        ),
        "rows without a value": written(pa.table({"key": pa.nulls(2_000_000, pa.string())}), compression="zstd"),
    }


@pytest.mark.parametrize("name", bombs())
def test_files_that_decode_to_too_much(monkeypatch, name):
    content = bombs()[name]
    assert len(content) < 2**16
    assert parquet.read(io.BytesIO(content), SCHEMA, ["key"]).num_rows
    monkeypatch.setattr(parquet, "MAX_BYTES", 2**24)
    with pytest.raises(pa.ArrowInvalid, match="bytes that decode to more than"):
        parquet.read(io.BytesIO(content), SCHEMA, ["key"])


def test_texts_made_of_texts_before_them():
    content = written(TABLE, use_dictionary=False, column_encoding={"key": "DELTA_BYTE_ARRAY"})
    with pytest.raises(pa.ArrowInvalid, match="encoding number 7; write it with plain or dictionary encoding"):
        parquet.read(io.BytesIO(content), SCHEMA)


def test_texts_that_are_no_utf_8():
    bad = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe"))
    with pytest.raises(pa.ArrowInvalid, match="UTF8"):
        parquet.read(io.BytesIO(written(pa.table({"key": bad}))), SCHEMA, ["key"])


def test_a_footer_of_too_many_bytes(monkeypatch):
    monkeypatch.setattr(parquet, "_FOOTER", 100)
    with pytest.raises(pa.ArrowInvalid, match="its footer has .* bytes, more than 100: write it with fewer row groups"):
        parquet.read(io.BytesIO(written()), SCHEMA)


EVERY_BYTE = """
import io, sys
import pyarrow as pa
import pyarrow.parquet as pq
from pipelines import parquet
content = sys.stdin.buffer.read()
schema = pq.read_schema(io.BytesIO(content))
footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
refused = 0
for place in range(footer, len(content)):
    for value in (content[place] ^ 1, content[place] ^ 64, 255):
        damaged = content[:place] + bytes([value]) + content[place + 1 :]
        try:
            parquet.read(io.BytesIO(damaged), schema)
        except (parquet.OtherColumns, pa.ArrowException, OSError):
            refused += 1
print(refused)
"""


def test_damage_to_any_byte_of_a_footer_ends_no_process():
    content = written(TABLE.slice(0, 3))
    command = [sys.executable, "-c", EVERY_BYTE]
    done = subprocess.run(command, input=content, cwd=Path(__file__).parents[2], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 500
