"""`zsad evaluate` where Ray finds a GPU: two models share it, and the tables are those of a CPU."""

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose

from tests.e2e.conftest import zsad
from tests.needs import needs_gpu
from zsad_core.map_codec import decode


@needs_gpu
def test_a_gpu_gives_the_tables_of_a_cpu(shards, tmp_path):
    """The shipped model in float32."""
    said, tables, rows = {}, {}, {}
    for device in ("cpu", "cuda"):
        run = tmp_path / device
        status, _, said[device] = zsad("evaluate", shards, run, "--device", device)
        assert status == 0, said[device]
        tables[device] = pd.read_csv(run / "metrics" / "table.csv")
        files = sorted((run / "predictions").rglob("*.parquet"))
        rows[device] = pd.concat(map(pd.read_parquet, files)).set_index("key").sort_index()
    assert "scoring: device cuda, models 2" in said["cuda"]
    on_cpu, on_gpu = rows["cpu"], rows["cuda"]
    assert_allclose(on_gpu["score"], on_cpu["score"], rtol=0, atol=5e-6)
    for key in on_cpu.index:
        one, other = (
            decode(row["anomaly_map"], row["map_height"], row["map_width"]).astype(int)
            for row in (on_cpu.loc[key], on_gpu.loc[key])
        )
        assert np.abs(one - other).max() <= 1, key
    numbers = tables["cpu"].select_dtypes("number")
    assert len(numbers.columns) > 20
    assert_allclose(tables["cuda"][numbers.columns], numbers, rtol=0, atol=1e-4)
