"""Runs that are disturbed by real faults end with the bytes of an undisturbed one, or say which row or file failed.

Each test is one repetition; `python -m tests.repeat_faults` repeats them and prints a table.
"""

import dataclasses
import hashlib
import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines import predict, storage
from pipelines.evaluate import evaluate
from tests.e2e.conftest import OPTIONS, SETTINGS, contents, keys_of
from tests.e2e.processes import descendants, title
from tests.hand_packed import write_packed
from tests.object_store import BUCKET
from tests.poison.sitecustomize import POISON
from zsad_core.errors import ZsadError

pytestmark = [pytest.mark.slow, pytest.mark.fault]

PROJECT = Path(__file__).parents[2]
ZSAD = Path(sys.executable).parent / "zsad"
REPEATING = "ZSAD_FAULTS" in os.environ  # by the script
MISSES_ALLOWED = 3  # a task may end before its process is killed


@pytest.fixture(autouse=True)
def described_here(monkeypatch):
    """A process of its own for it would take seconds, and no fault here is about it."""
    monkeypatch.setattr("pipelines.models.describe", predict._describe)


@pytest.fixture
def judge(record_fault, undisturbed):
    """`judge(run, how)`: asserts that the run is the undisturbed one, and records it."""
    return lambda run, how: record_fault(how, contents(run), undisturbed)


class Watcher(threading.Thread):
    """Looks at the processes of this test's Ray until `act(process id, its title)` says that it did its work."""

    def __init__(self, act):
        super().__init__(daemon=True)
        self.act, self.acted, self.ended = act, [], threading.Event()

    def run(self):
        while not self.ended.wait(0.01):
            for process_id in descendants(os.getpid()):
                if self.act(process_id, title(process_id)):
                    self.acted.append(process_id)
                    return

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


def written(run):
    return len(list(Path(run).glob("predictions/*/*.parquet")))


def kill_one(named, run, after=0):
    """An act: SIGKILL for the first process whose title holds `named`, once `after` prediction files are written."""

    def act(process_id, its_title):
        if named not in its_title or written(run) < after:
            return False
        try:
            os.kill(process_id, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    return act


@pytest.mark.parametrize(
    ("step", "after"),
    [("Map(_read)", 0), ("MapWorker(Map(_Model))", 2), ("Map(_write)", 1)],
    ids=["read", "model", "write"],
)
def test_killed_worker(step, after, shards, undisturbed, judge, tmp_path):
    for attempt in range(MISSES_ALLOWED):
        run = str(tmp_path / str(attempt))
        with Watcher(kill_one(step, run, after)) as watcher:
            evaluate(str(shards), run, SETTINGS, [], actors=1)
        judge(run, f"SIGKILL of the process with the title {step}")
        if watcher.acted:
            return
    pytest.fail("no process was killed")


def started(shards, run, **options):
    return subprocess.Popen(
        [ZSAD, "evaluate", shards, run, *OPTIONS, "--actors", "1"], stderr=subprocess.PIPE, text=True, **options
    )


def wait_until(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.005)


def test_two_drivers_and_the_first_killed(shards, undisturbed, judge, tmp_path):
    run = tmp_path / "run"
    process = started(shards, run)
    try:
        wait_until(lambda: written(run), process)
        with pytest.raises(
            ZsadError, match=f"run: process {process.pid} on .* is at work there; wait until it has ended"
        ):
            evaluate(str(shards), str(run), SETTINGS, [])
        its_own = descendants(process.pid)
        assert len(its_own) > 3
    finally:
        process.kill()
        process.communicate()
    assert 0 < written(run) < 8
    wait_until_ended(its_own)
    kept = {path.name: path.stat().st_mtime_ns for path in run.glob("predictions/*/*.parquet")}
    evaluate(str(shards), str(run), SETTINGS, [])
    now = {path.name: path.stat().st_mtime_ns for path in run.glob("predictions/*/*.parquet")}
    assert kept.items() <= now.items()
    judge(str(run), "a second driver started, the first killed (SIGKILL), started again")


def test_interrupted(shards, undisturbed, judge, tmp_path):
    run = tmp_path / "run"
    process = started(shards, run)
    try:
        wait_until(lambda: written(run), process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    # All shards may be done by then: the signal has still stopped what came after.
    assert process.returncode == 130 and "Traceback" not in err
    assert err.endswith("zsad: interrupted; the same command goes on where this one stopped\n")
    evaluate(str(shards), str(run), SETTINGS, [])
    judge(run, "Ctrl-C (SIGINT) in mid-run, started again")


def wait_until_ended(process_ids):
    """The processes of a killed driver end by themselves; two small ones of Ray's look for it once a minute only."""
    deadline = time.monotonic() + 30
    while left := [each for each in map(title, process_ids) if each and "Agent" not in each]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


STORE_FAULTS = {
    "500": "is answered with 500",
    "503": "is answered with 503",
    "slow": "waits half a second",
    "cut": "is cut in the middle of the answer",
    "deaf": "is carried out and not answered",
    "away": "and all for six seconds after the first prediction is answered with 503",
}


@pytest.mark.parametrize(
    "faults", [[each] for each in STORE_FAULTS] if REPEATING else [list(STORE_FAULTS)], ids=",".join
)
def test_store(faults, s3_shards, s3_proxy, undisturbed, judge):
    """One request in three fails, by each fault in turn; in the script each has a run of its own."""
    run, turn, away_until = f"s3://{BUCKET}/runs/{'-'.join(faults)}", itertools.count(), []

    def fault(method, path):
        if "away" in faults and not away_until and method == "PUT" and "/predictions/" in path:
            away_until.append(time.monotonic() + 6)
        if away_until and time.monotonic() < away_until[0]:
            return "503"
        number = next(turn)
        named = faults[number // 3 % len(faults)] if number % 3 == 2 else None
        return "503" if named == "away" else named

    with failing(s3_proxy, fault):
        evaluate(s3_shards, run, SETTINGS, [], actors=1)
    assert s3_proxy.faults > 10
    judge(
        run, f"a proxy before the S3 server: every third request {', or '.join(STORE_FAULTS[each] for each in faults)}"
    )


def test_lost_object(s3_shards, s3_proxy, undisturbed, judge):
    run, lost = f"s3://{BUCKET}/runs/lost", "drawn/test-00003-of-00008.parquet"
    refused = pytest.raises(ZsadError, match=f"^{s3_shards}/{lost}: no such file; pack this benchmark again")
    with failing(s3_proxy, lambda method, path: "gone" if path.endswith(lost) else None), refused:
        evaluate(s3_shards, run, SETTINGS, [], actors=1)
    assert len(keys_of(contents(run))) == 35
    evaluate(s3_shards, run, SETTINGS, [], actors=1)
    judge(run, "a proxy before the S3 server: one shard is not found; started again when it is there")


@pytest.fixture(scope="module")
def s3_shards(shards, s3_proxy):
    for path in shards.rglob("*"):
        if path.is_file():
            storage.write_bytes(f"s3://{BUCKET}/shards/{path.relative_to(shards)}", path.read_bytes())
    return f"s3://{BUCKET}/shards"


class failing:
    """While inside, the proxy has requests fail by `fault`; its count of faults begins at 0."""

    def __init__(self, proxy, fault):
        self.proxy, self.fault = proxy, fault

    def __enter__(self):
        self.proxy.fault, self.proxy.faults = self.fault, 0

    def __exit__(self, *_):
        self.proxy.fault = lambda method, path: None


CAN_MOUNT = subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode == 0


ON_A_SMALL_DISK = """
import subprocess, sys
from pipelines import evaluate, models, predict
from tests.e2e.conftest import SETTINGS
from zsad_core.errors import ZsadError

def mount(*options):
    subprocess.run(["mount", *options, "none", "disk"], check=True)

models.describe = predict._describe
mount("-t", "tmpfs", "-o", "size=60k")
try:
    evaluate.evaluate(sys.argv[1], "disk/run", SETTINGS, [])
except ZsadError as error:
    print(error, flush=True)
subprocess.run(["find", "disk", "-name", "*.tmp"], check=True)
mount("-o", "remount,size=100m")
evaluate.evaluate(sys.argv[1], "disk/run", SETTINGS, [])
subprocess.run(["cp", "-r", "disk/run", "kept"], check=True)
"""


@pytest.mark.skipif(not REPEATING or not CAN_MOUNT, reason="takes long; tests/pipelines/test_storage.py fills a disk")
def test_full_disk(shards, undisturbed, judge, tmp_path):
    (tmp_path / "disk").mkdir()
    command = ["unshare", "-rm", sys.executable, "-c", ON_A_SMALL_DISK, str(shards)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "cannot be written (No space left on device)" in done.stdout and ".tmp" not in done.stdout
    judge(str(tmp_path / "kept"), "a disk of 60 kB is full; made larger, started again")


def test_poisoned_samples(rows, record_fault, tmp_path, ray_session, capsys):
    """One of 40 images kills the decoder: it becomes a row that says so, and the others are scored as ever."""
    poisoned, marked = [dict(row) for row in rows], [dict(row) for row in rows]
    poisoned[5]["image"] += POISON
    for row in (poisoned[5], marked[5]):
        row["sha256"] = hashlib.sha256(poisoned[5]["image"]).hexdigest()
    marked[5]["error"] = "the process that decodes it dies (SIGSEGV)"
    write_packed(tmp_path / "poisoned", "drawn", poisoned)
    write_packed(tmp_path / "marked", "drawn", marked)
    evaluate(str(tmp_path / "poisoned"), str(tmp_path / "run"), SETTINGS, [])
    said = "1 of 8 parts of the work lost their process or machine 4 times: once more, by file"
    assert said in capsys.readouterr().err
    # Rows and results are those of shards which have these errors from the beginning; files name their shards' hashes.
    evaluate(str(tmp_path / "marked"), str(tmp_path / "expected"), SETTINGS, [])
    run, expected = str(tmp_path / "run"), str(tmp_path / "expected")
    assert sum(row["error"] is not None for row in rows_and_results(run)["rows"]) == 1
    how = "one image of 40 kills the process that decodes it (SIGSEGV): a row with an error"
    record_fault(
        how, rows_and_results(run), rows_and_results(expected), keys_of(contents(run)), keys_of(contents(expected))
    )


def rows_and_results(run):
    paths = sorted(Path(run).glob("predictions/*/*.parquet"))
    rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
    return {"rows": rows, "results": storage.read_json(storage.join(run, "metrics", "results.json"))["benchmarks"]}


@pytest.mark.skipif(not REPEATING, reason="takes a minute; tests/zsad_core/test_scoring.py has the batches")
def test_memory_short(rows, record_fault, ray_session, tmp_path, capsys):
    """The system gives the actor, which has scored single images, too little for 64 at once."""
    write_packed(tmp_path / "shards", "drawn", rows[:12], shard_size=1)
    write_packed(
        tmp_path / "shards",
        "many",
        [row | {"key": f"{row['key']}, {turn}"} for turn in range(2) for row in rows],
        shard_size=64,
    )
    settings = dataclasses.replace(SETTINGS, image_size=518, batch_size=64)
    enough, short = str(tmp_path / "enough"), str(tmp_path / "short")
    evaluate(str(tmp_path / "shards"), enough, settings, [], actors=1)

    def limit(process_id, its_title):
        if "MapWorker(Map(_Model))" not in its_title or written(short) < 2:
            return False
        used = resource.getpagesize() * int(Path(f"/proc/{process_id}/statm").read_text().split()[0])
        resource.prlimit(process_id, resource.RLIMIT_AS, (used + 700 * 2**20, used + 700 * 2**20))
        return True

    with Watcher(limit) as watcher:
        evaluate(str(tmp_path / "shards"), short, settings, [], actors=1)
    assert watcher.acted
    assert "memory was short: some batches were cut to" in capsys.readouterr().err
    record_fault("the model's address space is limited (RLIMIT_AS) in mid-run", contents(short), contents(enough))


def test_damaged_files(shards, undisturbed, judge, tmp_path):
    run = tmp_path / "run"
    evaluate(str(shards), str(run), SETTINGS, [])
    files = sorted(run.glob("predictions/*/*.parquet"))
    os.truncate(files[3], 1000)
    files[4].write_bytes(b"")
    files[5].unlink()
    shutil.copy(files[0], files[7])  # whole, but of another shard
    (files[6].parent / f".{files[6].name}.{'0' * 32}.tmp").write_bytes(b"half")
    counts = sorted(run.glob("metrics/counts/*/*.parquet"))
    counts[0].write_bytes(counts[0].read_bytes()[:-100])
    kept = {path: path.stat().st_mtime_ns for path in (files[0], files[1], files[2])}
    evaluate(str(shards), str(run), SETTINGS, [])
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    judge(str(run), "files cut short, emptied, removed, mixed up, half-written ones left; started again")
