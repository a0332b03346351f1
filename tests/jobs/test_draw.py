"""`zsad draw`: what is named is drawn, each into its own folder; what cannot be drawn is refused before a file is
made."""

import argparse

import pytest

from jobs import draw
from zsad_core.benchmarks.drawn.auxiliary import draw_auxiliary
from zsad_core.benchmarks.drawn.miniatures import MINIATURES, SIZE, draw_miniature
from zsad_core.errors import UsageError, ZsadError


def run(*arguments):
    parser = argparse.ArgumentParser()
    draw.configure(parser)
    return draw.run(parser.parse_args([str(argument) for argument in arguments]))


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_draws_what_is_named(tmp_path, capsys):
    assert run(tmp_path / "job", "isic", "HeadCT", "ISIC", "--size", 32, "--seed", 3) == 0
    for name in ("ISIC", "HeadCT"):
        draw_miniature(name, str(tmp_path / "function" / name), size=32, seed=3)
    assert contents(tmp_path / "job") == contents(tmp_path / "function")
    assert "2 of 2 benchmarks" in capsys.readouterr().err


def test_by_default_all_at_the_default_size(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "zsad_core.benchmarks.drawn.miniatures.draw_miniature",
        lambda name, folder, size, seed: drawn.append((name, folder, size, seed)),
    )
    run(tmp_path)
    assert drawn == [(name, str(tmp_path / name), SIZE, 0) for name in MINIATURES]


def test_the_auxiliary_set_is_drawn_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("zsad_core.benchmarks.drawn.auxiliary.CATEGORIES", 2)
    monkeypatch.setattr(draw_auxiliary, "__kwdefaults__", draw_auxiliary.__kwdefaults__ | {"categories": 2})
    assert run(tmp_path / "job", "drawnworld", "--size", 40) == 0
    draw_auxiliary(str(tmp_path / "function"), categories=2, size=40)
    assert contents(tmp_path / "job" / "DrawnWorld") == contents(tmp_path / "function")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ISIC", "KSDD"], "KSDD: cannot be drawn. Known: MVTec-AD"),
        (["--size", "31"], "--size 31: at least 32 pixels"),
        (["--seed", "-1"], "--seed -1: must not be negative"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, arguments, message):
    with pytest.raises(UsageError, match=message):
        run(tmp_path, *arguments)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ZsadError, match="file/ISIC.*: cannot be written .Not a directory"):
        run(tmp_path / "file", "ISIC")
