"""`zsad report` and `zsad show` in this process."""

import pytest

from tests.pipelines.report.made_up_run import made_up_rows, write_run


@pytest.fixture
def rows(tmp_path, monkeypatch, without_ray):
    rows = made_up_rows(count=4)["parts"]
    write_run(tmp_path / "run", {"parts": rows}, tmp_path / "shards")
    monkeypatch.chdir(tmp_path)
    return rows


@pytest.fixture
def key(rows):
    return next(row["key"] for row in rows if row["key"].startswith("nut") and not row.get("error"))


def test_report_says_what_it_made_and_where(zsad, rows, tmp_path):
    status, out, _ = zsad("report", "run")
    assert (status, out) == (
        0, "8 images, 7 pictures, 7 of them made now\n1 could not be scored: the page says why\n\nrun/report/report.html\n",
    )  # fmt: skip
    assert {path.name for path in (tmp_path / "run/report").iterdir()} == {"report.html", "index.js", "sprites"}
    assert zsad("report", "run", "--out", "elsewhere", "--top", "2")[1].startswith("8 images, 2 pictures, 2 of them")


def test_show_never_replaces_a_file_unasked(zsad, key, tmp_path):
    status, out, _ = zsad("show", "run", key)
    name = key.replace("/", "-")
    assert status == 0 and out.splitlines()[0] == key and out.splitlines()[-1] == name
    (tmp_path / name).write_text("mine")
    status, _, err = zsad("show", "run", key)
    assert status == 1 and f"{name}: there already; --overwrite replaces it" in err
    assert (tmp_path / name).read_text() == "mine"
    assert zsad("show", "run", key, "--overwrite")[0] == 0
    assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert zsad("show", "run", key, "--out", "a.jpg")[0] == 2


def test_a_folder_without_a_run_is_named(zsad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for job in (["report", "nowhere"], ["show", "nowhere", "key"]):
        status, _, err = zsad(*job)
        assert status == 1 and "nowhere: no run there" in err
