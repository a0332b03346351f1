"""`zsad leaderboard` in this process: all of its files, or none of them."""

import pytest

from jobs.cli import main
from tests.pipelines.leaderboard.made_up_runs import HEAD, write_run


@pytest.fixture
def made(tmp_path):
    """A run and the exit status of a leaderboard of it, whose files lie in `board`."""
    run = write_run(tmp_path / "run", {"HeadCT": HEAD})
    return lambda *options: main(["leaderboard", run, "--out", str(tmp_path / "board"), *options])


def test_all_files_are_written(made, tmp_path, capsys):
    assert made() == 0
    kinds = ("html", "md", "csv", "tex", "json")
    assert {path.name for path in (tmp_path / "board").iterdir()} == {f"leaderboard.{kind}" for kind in kinds}
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"{tmp_path}/board: ") and all(f"leaderboard.{kind}" in last for kind in kinds)


def test_nothing_is_written_where_a_file_of_the_run_is_damaged(made, tmp_path, capsys):
    (tmp_path / "run/metrics/curves.json").write_text("[]")
    assert made() == 1 and not (tmp_path / "board").exists()
    assert "metrics/curves.json: not the curves of a run; `zsad reduce" in capsys.readouterr().err


def test_shards_that_are_named_have_to_be_there(made, tmp_path, capsys):
    assert made("--shards", str(tmp_path / "nowhere")) == 1 and not (tmp_path / "board").exists()
    assert capsys.readouterr().err == f"zsad: --shards {tmp_path}/nowhere: no such directory\n"
