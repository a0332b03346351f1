"""The second driver on a folder is told so; a dead one does not keep others out."""

import json
import os
import subprocess
import sys
import threading
import uuid

import pytest

from pipelines import lock, storage
from zsad_core.errors import ZsadError


@pytest.fixture(params=["local", "object store"])
def folder(request, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.1)
    monkeypatch.setattr(lock, "SETTLING", 0.1)
    return str(tmp_path / "run") if request.param == "local" else f"memory://{uuid.uuid4().hex}/run"


def test_one_at_a_time(folder):
    refused = pytest.raises(
        ZsadError, match=f"run: process {os.getpid()} on .* is at work there; wait until it has ended"
    )
    with lock.held(folder):
        with refused, lock.held(folder):
            pass
        assert storage.list_names(folder) == [lock.NAME]
    assert storage.list_names(folder) == []
    with lock.held(folder):
        pass


def test_of_two_that_begin_at_once_on_an_object_store_one_goes_on(monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.1)
    monkeypatch.setattr(lock, "SETTLING", 0.5)
    folder, results, done = f"memory://{uuid.uuid4().hex}", [], threading.Event()

    def work():
        try:
            with lock.held(folder):
                results.append("worked")
                done.wait(10)
        except ZsadError:
            results.append("refused")
            done.set()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["refused", "worked"]


def test_a_dead_driver_on_an_object_store_keeps_nobody_out(monkeypatch, capsys):
    monkeypatch.setattr(lock, "BEAT", 0.1)
    monkeypatch.setattr(lock, "SETTLING", 0.1)
    folder = f"memory://{uuid.uuid4().hex}"
    uri = storage.join(folder, lock.NAME)
    storage.write_json(uri, {"driver": "process 7 on another", "name": "x", "number": 3})
    with lock.held(folder):
        assert json.loads(storage.read_bytes(uri))["driver"].startswith(f"process {os.getpid()} on ")
    assert "process 7 on another began work there; looking whether it is alive" in capsys.readouterr().err
    storage.write_bytes(uri, b"not what a driver writes")
    with lock.held(folder):
        pass


def test_a_killed_driver_on_a_local_disk_keeps_nobody_out_and_leaves_nothing(tmp_path):
    program = f"""
import os, signal
from pipelines import lock
with lock.held({str(tmp_path)!r}):
    open({str(tmp_path)!r} + "/.x.parquet." + 32 * "a" + ".tmp", "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False, cwd=os.getcwd())
    assert len(os.listdir(tmp_path)) == 2
    with lock.held(str(tmp_path)):
        assert os.listdir(tmp_path) == [lock.NAME]
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ZsadError, match="file/run: cannot be written"), lock.held(str(tmp_path / "file" / "run")):
        pass
