"""A Ray cluster of three nodes in one machine, made of real `ray start` processes; and what processes listen on."""

import contextlib
import dataclasses
import ipaddress
import os
import re
import secrets
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.processes import descendants, title

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
# Linux answers on all of 127.0.0.0/8. 127.0.0.1 itself Ray takes for another name of the machine's outer address.
HEAD, WORKERS = "127.0.0.2", ("127.0.0.3", "127.0.0.4")
PORT, DASHBOARD_PORT, CLIENT_PORT, AGENT_PORT = 26379, 28265, 28266, 28270


@dataclasses.dataclass
class Cluster:
    """`workers` are the processes of `ray start`, by address; `environment` is what reaches the cluster."""

    workers: dict[str, subprocess.Popen]
    environment: dict[str, str]

    def submit(self, *command: object) -> subprocess.CompletedProcess:
        """Have the head run `python -m ...` and wait for its end; a head that has just started may not take jobs
        yet."""
        for _ in range(30):
            done = subprocess.run(
                [BIN / "ray", "job", "submit", "--address", f"http://{HEAD}:{DASHBOARD_PORT}",
                 "--working-dir", str(PROJECT), "--", "python", "-m", *map(str, command)],
                env=self.environment, check=False, capture_output=True, text=True, timeout=400,
            )  # fmt: skip
            if "No available agent to submit job" not in done.stderr:
                break
            time.sleep(2)
        return done


@contextlib.contextmanager
def three_nodes() -> Iterator[Cluster]:
    """A head that computes nothing and two nodes of one core each, with folders of their own."""
    # Not pytest's folder: the names of Ray's sockets in it would be too long.
    with tempfile.TemporaryDirectory(prefix="zsad-", ignore_cleanup_errors=True) as base, contextlib.ExitStack() as end:
        folder = Path(base)
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        environment = os.environ | {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            # A dead node is noticed after 2 seconds instead of 15.
            "RAY_health_check_period_ms": "500",
            "RAY_health_check_failure_threshold": "3",
            "RAY_worker_niceness": "0",  # Ray's 15 leaves its workers nothing on a busy machine
        }
        # The second is set by `pipelines`, for a Ray that stays in its machine.
        for name in ("RAY_ADDRESS", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
            environment.pop(name, None)

        def start(address: str, *options: str) -> subprocess.Popen:
            (folder / address).mkdir()
            agent_port = AGENT_PORT + int(address[-1])
            with open(folder / f"{address}.log", "w") as log:
                process = subprocess.Popen(
                    [BIN / "ray", "start", "--node-ip-address", address, "--temp-dir", folder / address,
                     "--dashboard-agent-listen-port", str(agent_port), "--block", *options],
                    env=environment, stdout=log, stderr=subprocess.STDOUT,
                )  # fmt: skip
            end.callback(kill, process)
            return process

        def wait(address: str, process: subprocess.Popen) -> None:
            deadline = time.monotonic() + 200
            while "runtime started" not in (log := (folder / f"{address}.log").read_text()):
                if "`--temp-dir" in log and "will be ignored" in log:
                    pytest.skip("this Ray gives a machine's second node no folder of its own")
                assert process.poll() is None and time.monotonic() < deadline, log
                time.sleep(0.2)

        head = start(
            HEAD, "--head", "--port", str(PORT), "--num-cpus", "0", "--ray-client-server-port", str(CLIENT_PORT),
            "--disable-usage-stats", "--dashboard-host", HEAD, "--dashboard-port", str(DASHBOARD_PORT),
        )  # fmt: skip
        wait(HEAD, head)
        workers = {address: start(address, "--address", f"{HEAD}:{PORT}", "--num-cpus", "1") for address in WORKERS}
        for address, process in workers.items():
            wait(address, process)
        yield Cluster(workers, environment)


def kill(process: subprocess.Popen) -> None:
    """End it and all that it started at once, without a chance to say goodbye."""
    for process_id in [process.pid, *descendants(process.pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGKILL)
    process.wait()


def listening(process_id: int) -> set[tuple[str, str, int]]:
    """(command line, address, port) of every TCP socket on which the process or one that it started takes
    connections."""
    owners = {}
    for owner in [process_id, *descendants(process_id)]:
        for descriptor in Path(f"/proc/{owner}/fd").glob("*"):
            with contextlib.suppress(OSError):
                if inode := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor)):
                    owners.setdefault(inode[1], owner)
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and inode in owners:
                words, port = local.split(":")
                packed = b"".join(struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8))
                found.add((title(owners[inode]), socket.inet_ntop(family, packed), int(port, 16)))
    return found


def is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback
