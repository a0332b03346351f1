"""Prediction files: equal tables give equal bytes, and what is not one is named."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import parquet, storage
from pipelines.predictions import PREDICTION_SCHEMA, prediction_uri, read_predictions, write_predictions
from zsad_core.errors import ZsadError


def table(rows=5):
    return pa.Table.from_pylist(
        [
            {
                "key": f"good/{i}.png",
                "category": "grid",
                "defect": "good",
                "prompt": "grid",
                "label": None if i == 3 else 0,
                "sha256": f"{i:064x}",
                "score_text": 0.1 * i,
                "score_map": 0.2,
                "score": 0.15,
                "anomaly_map": bytes(range(100)) * 3,
                "map_height": 4,
                "map_width": 4,
                "mask": b"\0\0",
            }
            for i in range(rows)
        ],
        schema=PREDICTION_SCHEMA,
    )


def test_equal_tables_give_equal_bytes_whatever_their_chunks(tmp_path):
    whole = table()
    chunked = pa.concat_tables([whole.slice(0, 2), whole.slice(2)]).replace_schema_metadata({"made": "later"})
    write_predictions(str(tmp_path / "a.parquet"), whole, "origin")
    write_predictions(str(tmp_path / "b.parquet"), chunked, "origin")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert read_predictions(str(tmp_path / "a.parquet")).equals(whole)
    assert read_predictions(str(tmp_path / "a.parquet"), ["label", "key"]).column_names == ["label", "key"]


def test_plain_pandas_reads_it_and_the_map_is_not_compressed_twice(tmp_path):
    uri = prediction_uri(str(tmp_path), "My set", "test-00000-of-00001")
    write_predictions(uri, table(), "origin")
    frame = pd.read_parquet(tmp_path / "predictions")
    assert list(frame.columns) == [*PREDICTION_SCHEMA.names, "benchmark"]
    assert set(frame["benchmark"]) == {"My set"}
    group = pq.ParquetFile(uri).metadata.row_group(0)
    compression = {group.column(i).path_in_schema: group.column(i).compression for i in range(group.num_columns)}
    maps = {compression.pop(name) for name in ("anomaly_map", "anomaly_map_std")}
    assert (maps, set(compression.values())) == ({"UNCOMPRESSED"}, {"ZSTD"})


def test_object_stores_are_read_alike():
    write_predictions("memory://run/a.parquet", table(), "origin")
    assert read_predictions("memory://run/a.parquet", ["key"]).equals(table().select(["key"]))


@pytest.mark.parametrize(
    "benchmark, shard, path",
    [
        ("HeadCT", "test-00000-of-00004", "benchmark=HeadCT/test-00000-of-00004.parquet"),
        ("HeadCT", "test-00000-of-00004.parquet", "benchmark=HeadCT/test-00000-of-00004.parquet"),
        ("our line 3/b", "test-0", "benchmark=our line 3%2Fb/test-0.parquet"),
    ],
)
def test_where_a_shard_s_predictions_lie(benchmark, shard, path):
    assert prediction_uri("s3://bucket/run", benchmark, shard) == f"s3://bucket/run/predictions/{path}"


def test_another_schema_is_refused_on_both_sides(tmp_path):
    other = table().drop_columns(["mask_error"])
    with pytest.raises(ValueError, match="not the prediction schema"):
        write_predictions(str(tmp_path / "a.parquet"), other, "origin")
    pq.write_table(other, tmp_path / "b.parquet")
    with pytest.raises(ZsadError, match="b.parquet: not a prediction file of this version.*mask_error"):
        read_predictions(str(tmp_path / "b.parquet"))
    pq.write_table(table().select(PREDICTION_SCHEMA.names[::-1]), tmp_path / "c.parquet")
    with pytest.raises(ZsadError, match="c.parquet: not a prediction file of this version.*moved"):
        read_predictions(str(tmp_path / "c.parquet"))


def test_what_an_earlier_version_did_not_write_is_null(tmp_path):
    new = ["height", "width", "score_std", "anomaly_map_std"]
    pq.write_table(table().drop_columns(new), tmp_path / "a.parquet")
    read = read_predictions(str(tmp_path / "a.parquet"))
    assert read.drop_columns(new).equals(table().drop_columns(new))
    assert read.schema.equals(PREDICTION_SCHEMA) and {read[name].null_count for name in new} == {5}
    assert read_predictions(str(tmp_path / "a.parquet"), ["width", "key"]).column_names == ["width", "key"]


def test_missing_and_damaged_files_are_named(tmp_path):
    uri = str(tmp_path / "a.parquet")
    with pytest.raises(ZsadError, match="a.parquet: no such prediction file; remove it and run the command"):
        read_predictions(uri)
    write_predictions(uri, table(), "origin")
    content = storage.read_bytes(uri)
    inside_a_map = content.index(bytes(range(100))) + 50
    for damaged in (
        b"",
        b"nonsense",
        content[:-20],
        content[:inside_a_map] + b"?" + content[inside_a_map + 1 :],
    ):
        storage.write_bytes(uri, damaged)
        with pytest.raises(ZsadError, match="a.parquet: damaged prediction file.*the command that made it again"):
            read_predictions(uri)


def test_keys_of_any_characters_come_back(tmp_path):
    keys = ["a folder/b c.png", "\u00fc", "u\u0308", "two\nlines", "-x", "k" * 300]
    odd = pa.Table.from_pylist([row | {"key": key} for row, key in zip(table(6).to_pylist(), keys)], PREDICTION_SCHEMA)
    write_predictions(str(tmp_path / "a.parquet"), odd, "origin")
    assert read_predictions(str(tmp_path / "a.parquet")).equals(odd)


@pytest.mark.parametrize(("name", "value"), [("key", None), ("category", None), ("label", 7)])
def test_rows_that_no_prediction_has(tmp_path, name, value):
    rows = table().to_pylist()
    rows[2][name] = value
    write_predictions(str(tmp_path / "a.parquet"), pa.Table.from_pylist(rows, PREDICTION_SCHEMA), "origin")
    with pytest.raises(ZsadError, match=f"a.parquet: row 2 has the {name} {value}; remove it and run the command"):
        read_predictions(str(tmp_path / "a.parquet"))
    assert len(read_predictions(str(tmp_path / "a.parquet"), ["score"])) == 5


def test_a_file_that_would_decode_to_too_much(tmp_path, monkeypatch):
    rows = [row | {"mask": bytes(100_000)} for row in table(50).to_pylist()]
    write_predictions(str(tmp_path / "a.parquet"), pa.Table.from_pylist(rows, PREDICTION_SCHEMA), "origin")
    monkeypatch.setattr(parquet, "MAX_BYTES", 2**20)
    with pytest.raises(ZsadError, match="a.parquet: damaged prediction file .*decode to more than"):
        read_predictions(str(tmp_path / "a.parquet"))
    assert len(read_predictions(str(tmp_path / "a.parquet"), ["key"])) == 50  # what is not read may be large


def test_a_column_s_name_that_is_no_text(tmp_path):
    write_predictions(str(tmp_path / "a.parquet"), table(), "origin")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content.replace(b"sha256", b"sh\xff256"))
    with pytest.raises(ZsadError, match="a.parquet: "):
        read_predictions(str(tmp_path / "a.parquet"))
