"""The installed `zsad` command, and one finished run that several tests look at."""

import os
import subprocess
import sys

import pytest

from tests.drawn_source import draw_mvtec

OPTIONS = ["--samples", "1", "--image-size", "64"]


def zsad(*arguments):
    """Run `zsad ...`; returns (exit status, standard output, standard error)."""
    command = [os.path.join(os.path.dirname(sys.executable), "zsad"), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    source, folder = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("shards")
    draw_mvtec(str(source), ["grid", "pill"], normal=4, anomalous=4, size=96)
    status, out, err = zsad("pack", "--layout", "mvtec", "--name", "drawn", source, folder, "--shard-size", "4")
    assert status == 0, err
    assert out.startswith("drawn: 8 normal and 8 anomalous images; categories: 2, shards: 4 (")
    assert out.endswith(f"MB) in {folder}/drawn\n")
    return folder


@pytest.fixture(scope="session")
def finished(shards, tmp_path_factory):
    """An undisturbed run: its folder, standard output and standard error."""
    run = tmp_path_factory.mktemp("finished") / "run"
    status, out, err = zsad("evaluate", shards, run, *OPTIONS)
    assert status == 0, err
    return run, out, err
