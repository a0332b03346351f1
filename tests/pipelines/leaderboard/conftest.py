"""Made-up runs in a test's own folder."""

import pytest

from tests.pipelines.leaderboard.made_up_runs import write_run


@pytest.fixture
def make(tmp_path):
    def run(name, benchmarks, **more):
        return write_run(tmp_path / name, benchmarks, **more)

    return run
