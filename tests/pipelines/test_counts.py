"""Counts files: keys of any characters come back, and what is no count is named."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.counts import count_file, read_binned, read_counts, read_images
from pipelines.predictions import PREDICTION_SCHEMA, write_predictions
from zsad_core import map_codec
from zsad_core.errors import ZsadError

KEYS = ["a folder/b c.png", "\u00fc", "u\u0308", "two\nlines", "-x", "k" * 300]


@pytest.fixture
def unit(tmp_path):
    """Six images of one category, counted."""
    codes = np.arange(42, dtype=np.uint16).reshape(6, 7)
    stored = {"anomaly_map": map_codec.encode(codes), "mask": map_codec.pack_mask(codes > 30)}
    common = dict.fromkeys(("category", "defect", "prompt"), "grid") | dict.fromkeys(
        ("score_text", "score_map", "score"), 0.5
    )
    rows = [common | stored | {"key": key, "label": 1, "map_height": 6, "map_width": 7} for key in KEYS]
    files = {name: str(tmp_path / f"{name}.parquet") for name in ("name", "images", "counts")}
    write_predictions(files["name"], pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA), "origin")
    unit = files | {"predictions": files["name"], "rows": len(KEYS), "origin": "origin", "categories": {"grid": {}}}
    return count_file(unit)


def changed(path, name, value):
    """The file at `path` with another value of a column in its first row."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0][name] = value
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def test_keys_of_any_characters_come_back(unit):
    assert read_images(unit["images"])["key"].to_pylist() == KEYS
    starts, images = read_binned(unit["images"], "grid")
    ((group, counts),) = read_counts(unit["counts"], "grid")
    assert group == ("grid", 1, "grid") and counts.normal.sum() == 6 * 31 == images.normal.sum() and starts[0] == 0


@pytest.mark.parametrize("content", [b"", b"\0" * 24, None])
@pytest.mark.parametrize("column", ["normal", "region_weight"])
def test_counts_that_are_none(unit, column, content):
    for file, read in (("images", read_binned), ("counts", lambda *which: list(read_counts(*which)))):
        changed(unit[file], column, content)
        with pytest.raises(ZsadError, match=f"{file}.parquet: damaged counts .*remove it and run reduce again"):
            read(unit[file], "grid")


@pytest.mark.parametrize("starts", [None, b"", b"\1", b"\0\0\0\0", b"\5\0\6\0"])
def test_bins_that_are_none(unit, starts):
    changed(unit["images"], "bin_starts", starts)
    with pytest.raises(ZsadError, match="images.parquet: damaged counts"):
        read_binned(unit["images"], "grid")


def test_another_file_s_columns(unit):
    with pytest.raises(ZsadError, match="counts.parquet: damaged counts .it has no column key"):
        read_images(unit["counts"])


@pytest.mark.parametrize(
    "change", [{"map_height": 2**31 - 1}, {"map_width": None}, {"anomaly_map": None}, {"mask": b""}]
)
def test_maps_that_are_none(unit, change):
    rows = pq.read_table(unit["name"]).to_pylist()
    rows[3] |= change
    write_predictions(unit["name"], pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA), "origin")
    with pytest.raises(ZsadError, match=r"name.parquet: row 'two\\nlines': damaged map or mask"):
        count_file(unit)
