"""The measuring scripts of the pipeline: rates from the times of files, a packed source, differences of two runs."""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from perf import pipeline
from perf.command import measured
from perf.precision import comparison
from pipelines import storage
from tests.made_up_predictions import H, W, sample, write_run
from zsad_core.map_codec import decode, encode


@pytest.mark.parametrize(("models", "expected"), [(2, 4 * 8 / 20), (3, 3 * 8 / 13), (1, 4 * 8 / 20)])
def test_rate_is_that_behind_the_first_files_of_the_models_and_the_first_third(tmp_path, models, expected):
    folder = tmp_path / "predictions" / "benchmark=drawn"
    folder.mkdir(parents=True)
    for number, written in enumerate([100.0, 103.0, 110.0, 113.0, 120.0, 123.0]):
        (folder / f"{number}.parquet").touch()
        os.utime(folder / f"{number}.parquet", (written, written))
    assert pipeline.steady_rate(str(tmp_path), shard_size=8, models=models) == pytest.approx(expected)


def test_time_and_memory_of_a_command():
    seconds, peak, private, *_ = measured("ls", "methods")
    assert 0 < seconds < 100 and 1e6 < private <= peak < 1e9
    with pytest.raises(SystemExit, match="zsad ls nothing ended with 2:\n.*\n.*nothing"):
        measured("ls", "nothing")


def test_packed_images_are_all_different(tmp_path, monkeypatch, without_ray):
    monkeypatch.setattr(pipeline, "DISTINCT", 3)
    monkeypatch.setattr(pipeline, "measured", lambda *arguments: main(list(arguments)))
    shards = pipeline.packed(str(tmp_path), 7, side=40, shard_size=4)
    rows = [row for file in sorted(os.listdir(f"{shards}/drawn")) if file.endswith("parquet")
            for row in pq.read_table(f"{shards}/drawn/{file}").to_pylist()]  # fmt: skip
    assert len({row["sha256"] for row in rows}) == 7 and not any(row["error"] for row in rows)
    assert sum(row["label"] for row in rows) == 2 and sum(bool(row["mask"]) for row in rows) == 2


def test_decoding_report(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "SIDES", (40,))
    next(pipeline.drawn(1, 30))[0].save(tmp_path / "one.png")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in
            pipeline.decoding_report([str(tmp_path)], 20).splitlines()]  # fmt: skip
    assert [row[0] for row in rows[2:]] == ["drawn, 40 px, PNG", "drawn, 40 px, JPEG", tmp_path.name]
    for row in rows[2:]:
        rate, cores = (float(row[column].replace(",", "")) for column in (3, 4))
        assert cores == pytest.approx(350 / rate, abs=0.051 + 350 / rate**2)


def test_two_runs_compared(tmp_path):
    folders = [str(tmp_path / name) for name in ("one", "other")]
    for folder, step, pixel in zip(folders, (0, 100), (0.75, 0.7515)):
        rng = np.random.default_rng(0)
        rows = [sample(rng, f"{number}", "pill", number % 2) for number in range(4)]
        for number, row in enumerate(rows):
            row["anomaly_map"] = encode(decode(row["anomaly_map"], H, W) + np.uint16(number * step))
        os.mkdir(folder)
        write_run(Path(folder), {"A": (["image", "pixel"], {"pill": (2, 2)}, rows)})
        means = {level: {"auroc": {"value": value}} for level, value in (("image", 0.5), ("pixel", pixel))}
        storage.write_json(storage.join(folder, "metrics", "results.json"), {"benchmarks": {"A": {"mean": means}}})
    table = comparison(*folders)  # the maps differ by 0, 100, 200 and 300 of 65535
    assert "| A | 4 | 0.00229 | 0.00458 | +0.00000 | +0.00150 |" in table, table
