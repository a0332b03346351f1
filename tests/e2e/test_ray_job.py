"""A job submitted to a Ray head by `ray job submit` writes what the embedded Ray writes; cluster.yaml is a valid one."""

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import OPTIONS

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PORT, JOB_PORT = 26379, 28265


@pytest.fixture
def head(tmp_path):
    """A head started as a user does it, on loopback; gives the environment in which its jobs are submitted."""
    token = tmp_path / "token"
    token.write_text(secrets.token_hex(32))
    environment = os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token),
    }  # fmt: skip
    environment.pop("RAY_ADDRESS", None)
    log = (tmp_path / "head.log").open("w")
    process = subprocess.Popen(
        [BIN / "ray", "start", "--head", "--node-ip-address", "127.0.0.1", "--port", str(PORT), "--num-cpus", "2",
         "--dashboard-host", "127.0.0.1", "--dashboard-port", str(JOB_PORT), "--block"],
        env=environment, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while "runtime started" not in (tmp_path / "head.log").read_text():
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "head.log").read_text()
            time.sleep(0.5)
        yield environment
    finally:
        # Asked to end, a head waits half a minute for its work to drain: end what it started itself.
        for process_id in [*descendants(process.pid), process.pid]:
            try:
                os.kill(process_id, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()
        log.close()


def descendants(process_id):
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(status.parent.name)] = int(fields[1])
    found, fresh = [], {process_id}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh}
        found += fresh
    return found


def submit(environment, *arguments):
    """Submit and wait for the end; a head that has just started may not take jobs yet."""
    for _ in range(30):
        done = submit_once(environment, *arguments)
        if "No available agent to submit job" not in done.stderr:
            break
        time.sleep(2)
    return done


def submit_once(environment, *arguments):
    return subprocess.run(
        [BIN / "ray", "job", "submit", "--address", f"http://127.0.0.1:{JOB_PORT}", "--working-dir", str(PROJECT), "--",
         "python", "-m", *map(str, arguments)],
        env=environment, check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.mark.slow
def test_a_submitted_job_writes_what_the_command_writes(head, shards, finished, tmp_path):
    done = submit(head, "jobs.evaluate", shards, tmp_path / "run", *OPTIONS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tables: " in done.stdout
    for name in ("metrics/results.json", "metrics/table.md", "predictions/benchmark=drawn/test-00000-of-00004.parquet"):
        assert (tmp_path / "run" / name).read_bytes() == (finished[0] / name).read_bytes(), name


def test_cluster_file_is_one_that_ray_takes():
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load((PROJECT / "cluster.yaml").read_text()))
    config.setdefault("cluster_synced_files", [])
    validate_config(config)
    types = config["available_node_types"]
    assert types[config["head_node_type"]]["resources"].get("GPU", 0) == 0
    assert types["gpu"]["resources"]["GPU"] == 1 and types["gpu"]["min_workers"] == 0
