"""What a training's epochs gave, as losses.csv, as a plot and as a table for the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines import storage
from zsad_core.errors import ZsadError

CSV, PLOT = "losses.csv", "losses.svg"


def losses_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """One line an epoch with all the digits of every value; the seconds stand last: only they differ between runs."""
    columns = [*dict.fromkeys(name for row in rows for name in row if name != "seconds"), "seconds"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: int(v) if isinstance(v, bool) else v for name, v in row.items()} for row in rows)
    return text.getvalue().encode()


def read_losses(run: str) -> list[dict[str, float]]:
    """The epochs in `<run>/losses.csv`, without the values that a stage does not have. ZsadError where damaged."""
    uri = storage.join(run, CSV)
    try:
        text = storage.read_bytes(uri).decode()
        return [
            {name: float(value) for name, value in row.items() if value} for row in csv.DictReader(io.StringIO(text))
        ]
    except (OSError, ValueError, AttributeError) as error:
        raise ZsadError(f"{uri}: not what `zsad train` wrote ({error}); remove the run, or restore it") from None


def losses_table(rows: Sequence[Mapping[str, float]]) -> str:
    """Aligned columns: stage, epoch, losses, average precisions in percent; "*" at the epochs that were the best
    yet."""
    shown = [
        name
        for name in dict.fromkeys(name for row in rows for name in row)
        if name not in ("seconds", "learning_rate", "best") and " " not in name
    ]
    lines = [[name.replace("_ap", " AP") for name in shown]]
    for row in rows:
        lines.append([_cell(name, row.get(name)) for name in shown])
        lines[-1][-1] += "*" if row.get("best") else " "
    lines[0][-1] += " "
    widths = [max(len(line[place]) for line in lines) for place in range(len(shown))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name in ("stage", "epoch"):
        return str(int(value))
    return f"{100 * value:.1f}" if name.endswith("_ap") else f"{value:.4f}"


def losses_plot(rows: Sequence[Mapping[str, float]]) -> bytes:
    """An SVG: each loss above, the average precisions of the validation below, over all epochs of all stages."""
    import matplotlib
    from matplotlib.figure import Figure

    names = [name for name in dict.fromkeys(name for row in rows for name in row) if " " not in name]
    of_validation = [name for name in names if name.endswith("_ap")]
    losses = [n for n in names if n not in ("stage", "epoch", "learning_rate", "best", "seconds", *of_validation)]
    stages = [row["stage"] for row in rows]
    epochs = range(1, len(rows) + 1)
    with matplotlib.rc_context({"svg.hashsalt": "zsad", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8, 7), layout="constrained")
        above, below = figure.subplots(2, sharex=True)
        for axes, columns, factor in ((above, losses, 1), (below, of_validation, 100)):
            for name in columns:
                values = [factor * row.get(name, float("nan")) for row in rows]
                axes.plot(epochs, values, marker=".", label=name.replace("_ap", " AP"))
            for place in (i for i in range(1, len(rows)) if stages[i] != stages[i - 1]):
                axes.axvline(place + 0.5, color="grey", linestyle=":")
            if columns:
                axes.legend(fontsize="small", ncols=2)
        above.set_ylabel("mean loss of the epoch")
        below.set_ylabel("validation, %")
        below.set_xlabel("epoch (dotted: the next stage)")
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
