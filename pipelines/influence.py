"""How much each image moves each metric of its category: what the reduction leaves for intervals and comparisons."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipelines import storage
from pipelines.predictions import partition_uri
from pipelines.tables import COLUMNS

OF_IMAGE = ("key", "sha256", "category", "defect", "label")
# A row an image. See zsad_core.metrics.intervals.influence; null where a metric does not count the image.
INFLUENCE_SCHEMA = pa.schema(
    [
        *((name, pa.int8() if name == "label" else pa.string()) for name in OF_IMAGE),
        *((column.name, pa.float64()) for column in COLUMNS),
    ]
)


def influence_uri(metrics: str, benchmark: str) -> str:
    """Of a benchmark, in the folder `metrics` of a run."""
    return partition_uri(storage.join(metrics, "influence"), benchmark, "images")


def influence_table(images: pa.Table, influence: dict[str, np.ndarray]) -> pa.Table:
    """Of a category's `images`; `influence` has float64 (n,) by the names of some of COLUMNS, NaN where not counted."""
    columns = {name: images[name].cast(INFLUENCE_SCHEMA.field(name).type) for name in OF_IMAGE}
    columns |= {name: pa.array(values, pa.float64(), from_pandas=True) for name, values in influence.items()}
    return pa.table(columns).combine_chunks()  # chunk borders would show in the pages
