"""The archive of noise is a pack, and what is measured of a run is read from what it says."""

from perf import scale
from perf.command import Measured
from pipelines.shards import find_manifests, read_shard


def test_the_drawn_archive_is_a_pack(tmp_path):
    scale.draw(tmp_path / scale.NAME, count=50, shard_size=16)
    (found,) = find_manifests(str(tmp_path))
    tables = [read_shard(found.shard_uri(file), file) for file in found.manifest["files"]]
    assert [len(table) for table in tables] == [16, 16, 16, 2]
    rows = [row for table in tables for row in table.to_pylist()]
    assert len({row["sha256"] for row in rows}) == len({row["key"] for row in rows}) == 50
    for name, facts in found.manifest["categories"].items():
        labels = [row["label"] for row in rows if row["category"] == name]
        assert (labels.count(0), labels.count(1)) == (facts["normal"], facts["anomalous"])


def test_parts_of_a_run():
    lines = ["starting Ray", "loading it", "scoring: so", "predict: 0 of 9 images", "predict: 3 of 9 images, 5 s left"]
    lines += ["reduce: 0 of 9 images", "reduce: 9 of 9 images, 2 images/s"]
    said = [(10.0 * number, line) for number, line in enumerate(lines)]
    driver = [(float(second), second * 10**6) for second in range(70)]
    run = Measured(70.4, 0, 0, said, driver)
    assert scale.times(run) == ["0", "10", "30", "40", "50", "60", "70"]
    assert scale.driver_memory(run) == ["40", "42", "45", "47", "50", "69"]
    resumed = Measured(70.4, 0, 0, [*said[:2], (20.0, "reduce: 0 of 9 images"), said[-1]], driver)
    assert scale.times(resumed) == ["0", "10", "20", "–", "20", "60", "70"]
