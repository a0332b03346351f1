"""Changes to the files of a run that was written, for tests of what is wrong or new in them."""

import json

import pyarrow as pa

from pipelines.predictions import PREDICTION_SCHEMA, origin_of, read_predictions, write_predictions


def change_run(folder, change):
    """Change the content of run.json."""
    content = json.loads((folder / "run.json").read_text())
    change(content)
    (folder / "run.json").write_text(json.dumps(content))


def rewrite(uri, change):
    """Change the rows of a prediction file."""
    rows = read_predictions(uri).to_pylist()
    change(rows)
    write_predictions(uri, pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA), origin_of(uri))
