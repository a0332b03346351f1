"""The measuring script of stored maps: sizes as of the blobs themselves, exactness seen where it is and where not."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from perf.storage import codings, file_report, maps_of_shipped_model, report
from zsad_core.map_codec import encode, quantise

pytestmark = pytest.mark.usefixtures("torch_restored")


@pytest.fixture(scope="module")
def codes():
    noise = np.random.default_rng(0).standard_normal((3, 60, 60))
    return np.stack([quantise(0.5 + gaussian_filter(each, 3)) for each in noise])


def test_report(codes):
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in report(codes).splitlines()]
    rows = {row[0]: row[1:] for row in table[2:]}
    assert list(rows) == list(codings((60, 60)))
    own = rows["zsad: second differences, bytes apart, zstd 1"]
    assert own[0] == f"{np.mean([len(encode(each)) for each in codes]) / 1e3:.1f}"
    assert [row[-1] for row in rows.values()] == ["yes", "yes", "yes", "no", "yes"]
    assert float(own[0]) < min(float(row[0]) for name, row in rows.items() if not name.startswith("zsad"))


def test_file_report(codes):
    assert "| predictions of 3 images | " in file_report(codes)


def test_maps_are_the_shipped_models():
    codes = maps_of_shipped_model(2, 60)
    assert codes.shape == (2, 60, 60) and codes.dtype == np.uint16 and np.ptp(codes) > 1000
