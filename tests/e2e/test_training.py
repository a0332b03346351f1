"""`zsad train` interrupted and killed, all of it and its worker alone: it ends as a training that nothing disturbed."""

import argparse
import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from jobs import evaluate
from pipelines import train as pipeline
from pipelines.auxiliary import choose_validation, packed
from pipelines.training_task import Task, carry_out
from tests.e2e.processes import descendants, title
from tests.hand_packed import rows_of, write_packed
from zsad_core.training_settings import TrainingSettings

BACKBONE = "zsad-small:random"
OPTIONS = ["--auxiliary", "drawn", "--backbone", BACKBONE, "--image-size", "64", "--epochs", "4", "--batch-size", "3"]
OPTIONS += ["--threads", "1"]
RESULTS = ("checkpoint", "losses")
REPEATING = "ZSAD_FAULTS" in os.environ  # by tests/repeat_faults.py


@pytest.fixture
def shards(tmp_path):
    rows = [row for name in ("grid", "pill", "wood") for row in rows_of("drawn", name, 6, 6, size=64)]
    write_packed(tmp_path / "shards", "drawn", rows)
    write_packed(tmp_path / "shards", "target", rows_of("target", "tile", 2, 2, size=64))
    return str(tmp_path / "shards")


def undisturbed(shards, folder):
    """What the training gives without Ray, in this process: checkpoint and losses without the seconds."""
    settings = TrainingSettings(backbone=BACKBONE, image_size=64, epochs=4, batch_size=3, threads=1, device="cpu")
    described = pipeline.describe(settings, "drawn")
    facts = {name: described[name] for name in ("activation", "backbone_sha256")}
    learnt, judged = choose_validation(shards, packed(shards, "drawn"), "held-out")
    carry_out(Task(str(folder), settings, learnt, judged, False, facts), lambda kind, value: None)
    return results(folder)


def results(folder):
    losses = [line.rpartition(",")[0] for line in (folder / "losses.csv").read_text().splitlines()]
    return (folder / "checkpoint.safetensors").read_bytes(), losses


def wait_for(found, process):
    deadline = time.monotonic() + 300
    while not found():
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.05)


def wait_for_next_epoch(state, process):
    kept = state.stat().st_mtime_ns
    wait_for(lambda: state.stat().st_mtime_ns > kept, process)


def runs(process_id):
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def end(process_id):
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGKILL)


def workers(process):
    """Process ids of Ray Train's workers below a process."""
    return [each for each in descendants(process.pid) if "RayTrainWorker" in title(each)]


@pytest.fixture
def start(shards, tmp_path):
    """Starts the same `zsad train` each time it is called; ends what still runs after the test."""
    command = [os.path.join(os.path.dirname(sys.executable), "zsad"), "train", shards, str(tmp_path / "run"), *OPTIONS]
    started = []

    def begin():
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.fault
def test_a_disturbed_training_ends_as_an_undisturbed_one(shards, start, record_fault, tmp_path):
    """Interrupted by Ctrl-C, (in the script) killed as a whole, its worker killed: one journey, for a start takes
    long."""
    state = tmp_path / "run" / "state.pt"
    process = start()
    wait_for(state.exists, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in err, err
    assert err.endswith("zsad: interrupted; the same command goes on where this one stopped\n")

    if REPEATING:  # a start more
        wait_for_next_epoch(state, process := start())
        left_alone = descendants(process.pid)
        (worker,) = workers(process)
        process.kill()
        process.communicate()
        deadline = time.monotonic() + 60
        while runs(worker) and time.monotonic() < deadline:  # Ray ends what it started a few seconds after its driver
            time.sleep(0.2)
        for process_id in left_alone:
            end(process_id)
        assert not (tmp_path / "run" / "checkpoint.safetensors").exists()

    wait_for_next_epoch(state, process := start())
    (worker,) = workers(process)
    end(worker)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "Traceback" not in err and len(re.findall("going on behind stage", err)) == 2, err
    found, expected = results(tmp_path / "run"), undisturbed(shards, tmp_path / "undisturbed")
    nothing = Counter(("no samples",))
    how = "a training: Ctrl-C, all of it killed, its worker killed (SIGKILL); started again"
    record_fault(how, dict(zip(RESULTS, found)), dict(zip(RESULTS, expected)), nothing, nothing)

    call = shlex.split(out.splitlines()[-1])
    assert call[:2] == ["zsad", "evaluate"] and call[-2:] == ["--benchmarks", "target"]
    parser = argparse.ArgumentParser()
    evaluate.configure(parser)
    assert parser.parse_intermixed_args(call[2:]).benchmarks == "target"
    assert call[call.index("--checkpoint") + 1] == str(tmp_path / "run" / "checkpoint.safetensors")
