"""The installed `zsad` command, and an undisturbed run that disturbed ones are compared with."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import predict, storage
from pipelines.evaluate import evaluate
from tests.hand_packed import rows_of, write_packed
from zsad_core.settings import ScoringSettings

# A method whose workers start in half the time, and what it is called with as a command.
SETTINGS = ScoringSettings(method="local-contrast", image_size=160)
OPTIONS = ["--method", "local-contrast", "--image-size", "160"]


def zsad(*arguments):
    """Run `zsad ...`; returns (exit status, standard output, standard error)."""
    command = [os.path.join(os.path.dirname(sys.executable), "zsad"), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=900)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="session")
def rows():
    return rows_of("drawn", "pill", normal=20, anomalous=20, size=160)


@pytest.fixture(scope="session")
def shards(rows, tmp_path_factory):
    """Eight shards of five images."""
    folder = tmp_path_factory.mktemp("shards")
    write_packed(folder, "drawn", rows)
    return folder


@pytest.fixture(scope="session")
def undisturbed(shards, ray_session, tmp_path_factory):
    """The contents of a run that nothing disturbed, on the Ray of these tests."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pipelines.models.describe", predict._describe)
        evaluate(str(shards), str(run), SETTINGS, [])
    return contents(run)


def contents(run):
    """The files of a run (path or URI) by their path in it, but for run.json, which says when and where."""
    files, _ = storage.list_tree(str(run))
    return {name: storage.read_bytes(storage.join(str(run), name)) for name in files if name != "run.json"}


def keys_of(files):
    """How often each sample stands in the predictions among `files` (see contents)."""
    predictions = [content for name, content in files.items() if name.startswith("predictions/")]
    return Counter(key for each in predictions for key in pq.read_table(pa.BufferReader(each))["key"].to_pylist())


@pytest.fixture
def record_fault(request):
    """`record_fault(how, found, expected)`: asserts that a disturbed run holds what an undisturbed one does.

    Beforehand it is recorded for the table of tests/repeat_faults.py. `found` and `expected` are the runs' contents, or
    something else to compare where their keys are given.
    """

    def record(how, found, expected, keys=None, expected_keys=None):
        keys, expected_keys = keys or keys_of(found), expected_keys or keys_of(expected)
        facts = {
            "fault": request.node.name.removeprefix("test_").replace("_", " "),
            "how": how,
            "lost": len(expected_keys.keys() - keys.keys()),
            "twice": sum(number > 1 for number in keys.values()),
            "equal": found == expected,
        }
        if path := os.environ.get("ZSAD_FAULTS"):
            with open(path, "a") as file:
                file.write(json.dumps(facts) + "\n")
        assert (facts["lost"], facts["twice"]) == (0, 0)
        assert found.keys() == expected.keys()
        assert [name for name in found if found[name] != expected[name]] == []

    return record


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium; what needs it is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update"]
    with sync_api.sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=found, args=flags)
        except sync_api.Error as error:
            pytest.skip(f"needs a Chromium: apt-get install chromium ({str(error).splitlines()[0]})")
        yield started
        started.close()
