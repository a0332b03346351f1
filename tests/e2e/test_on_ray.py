"""From images to tables, scores, regions and a report: Ray writes the bytes that one process writes."""

import pytest

from pipelines import engine
from pipelines.evaluate import evaluate
from pipelines.pack import pack
from pipelines.regions import find_regions
from pipelines.report.build import report
from pipelines.score import score
from pipelines.threshold import threshold
from pipelines.validate import validate
from tests.drawn_source import draw_mvtec
from tests.e2e.conftest import contents
from tests.one_process import one_process
from zsad_core.benchmarks.table import own_benchmark

pytestmark = pytest.mark.slow
PARTS = ["shards", "evaluated", "scored", "report"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    draw_mvtec(str(folder), ["grid", "pill"], normal=20, anomalous=3, size=98)
    (folder / "pill" / "test" / "good" / "001.png").write_bytes(b"no image")
    return folder


def work_through(source, folder, settings, actors):
    """Each step's outputs in a folder of PARTS; returns what the steps returned."""
    packed, evaluated, scored, reported = (str(folder / part) for part in PARTS)
    benchmark, weights = own_benchmark("drawn"), [settings.checkpoint]
    returned = [validate(str(source), benchmark)]
    pack(benchmark, str(source), packed, shard_size=16)
    returned.append(validate(packed).problems)
    evaluate(packed, evaluated, settings, weights, actors=actors)
    returned.append(score(str(source / "pill" / "test"), scored, settings, weights, actors=actors, prompt="part"))
    returned.append(threshold(scored, "good/*", 0.1))
    returned.append(find_regions(scored, 0.5))
    report(scored, None, reported, None, 64)
    return returned


def test_the_same_bytes(source, settings, tmp_path, ray_session, monkeypatch):
    with one_process():
        expected = work_through(source, tmp_path / "one", settings, 1)
    assert (expected[2].now.images, expected[2].now.not_scored) == (23, 1)
    monkeypatch.setattr(engine, "FEW", 0)  # as where there are many files
    # In the folder of the first: outputs name the run's place.
    (tmp_path / "one").rename(tmp_path / "kept")
    assert work_through(source, tmp_path / "one", settings, 2) == expected
    for part in PARTS:
        kept, found = contents(tmp_path / "kept" / part), contents(tmp_path / "one" / part)
        assert found.keys() == kept.keys() and len(kept) > 3
        assert [name for name in found if found[name] != kept[name]] == []
