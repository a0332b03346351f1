"""Files are absent or whole, locally and on another fsspec filesystem."""

import hashlib
import os
import subprocess
import sys
import uuid

import fsspec
import numpy as np
import pytest

from pipelines import storage
from tests.object_store import BUCKET, SECRET
from zsad_core.errors import UsageError, ZsadError


@pytest.fixture(params=["local", "memory", "s3"])
def root(request, tmp_path):
    if request.param == "s3":
        request.getfixturevalue("s3_proxy")
    folders = {
        "local": str(tmp_path),
        "memory": f"memory://{uuid.uuid4().hex}",
        "s3": f"s3://{BUCKET}/{uuid.uuid4().hex}",
    }
    return folders[request.param]


def test_writes_and_lists(root):
    storage.write_bytes(storage.join(root, "a", "b c", "x.bin"), b"123")
    storage.write_json(storage.join(root, "y.json"), {"ü": 1})
    assert storage.read_bytes(storage.join(root, "a/b c/x.bin")) == b"123"
    assert storage.read_json(storage.join(root, "y.json")) == {"ü": 1}
    files, _ = storage.list_tree(root)
    assert files == ["a/b c/x.bin", "y.json"]
    assert storage.list_names(root) == ["a", "y.json"]
    assert storage.exists(storage.join(root, "y.json")) and not storage.exists(storage.join(root, "z.json"))
    storage.remove(storage.join(root, "y.json"))
    storage.remove(storage.join(root, "y.json"))
    assert storage.list_names(root) == ["a"]
    assert storage.list_names(storage.join(root, "nowhere")) == []


def test_missing_things_say_so(root):
    with pytest.raises(ZsadError, match="nowhere: no such directory"):
        storage.list_tree(storage.join(root, "nowhere"))
    with pytest.raises(ZsadError, match="y.json: no such file"):
        storage.read_json(storage.join(root, "y.json"))
    storage.write_bytes(storage.join(root, "y.json"), b"{]")
    with pytest.raises(ZsadError, match="y.json: not valid JSON"):
        storage.read_json(storage.join(root, "y.json"))


def test_unknown_storage_is_named():
    with pytest.raises(ZsadError, match="nonsense://x: no such kind of storage"):
        storage.exists("nonsense://x")


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    target = str(tmp_path / "x.bin")
    storage.write_bytes(target, b"old")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        storage.write_bytes(target, b"new and longer")
    assert os.listdir(tmp_path) == ["x.bin"]
    assert storage.read_bytes(target) == b"old"


def test_local_copy(tmp_path):
    storage.write_bytes(str(tmp_path / "w.pth"), b"weights")
    with storage.local_copy(str(tmp_path / "w.pth")) as here:
        assert here == str(tmp_path / "w.pth")
    remote = f"memory://{uuid.uuid4().hex}/epoch_post_3_1.pth"
    for content in (b"weights", b"better weights"):
        storage.write_bytes(remote, content)
        with storage.local_copy(remote) as here:
            assert os.path.basename(here) == "epoch_post_3_1.pth"
            with open(here, "rb") as file:
                assert file.read() == content
        assert not os.path.exists(here)
    with pytest.raises(ZsadError, match="none.pth: no such file"), storage.local_copy("memory://nowhere/none.pth"):
        pass


def test_sha256(root):
    content = os.urandom(3_000_000)
    storage.write_bytes(storage.join(root, "x"), content)
    assert storage.sha256(storage.join(root, "x")) == hashlib.sha256(content).hexdigest()
    with pytest.raises(ZsadError, match="none: no such file"):
        storage.sha256(storage.join(root, "none"))


@pytest.mark.parametrize("name", ["a::b", "a:b", "a b", "ä#?%20", "s3:x"])
def test_local_names_are_taken_as_they_are(tmp_path, name):
    path = str(tmp_path / name / "x.bin")
    storage.write_bytes(path, b"1")
    assert os.listdir(tmp_path) == [name] and storage.read_bytes(path) == b"1"
    assert storage.list_names(str(tmp_path / name)) == ["x.bin"]
    assert storage.list_tree(str(tmp_path)) == ([f"{name}/x.bin"], [name])


def test_links_are_followed_but_not_in_circles(tmp_path):
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "1.png").write_bytes(b"1")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "grid").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "deep" / "up").symlink_to(tmp_path / "elsewhere")
    files, directories = storage.list_tree(str(tmp_path / "source"))
    assert files == ["grid/deep/1.png"] and directories == ["grid", "grid/deep", "grid/deep/up"]


def test_what_cannot_be_written_or_listed_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ZsadError, match="file/x.bin: cannot be written"):
        storage.write_bytes(str(tmp_path / "file" / "x.bin"), b"")
    with pytest.raises(ZsadError, match="file: a file, not a directory"):
        storage.list_tree(str(tmp_path / "file"))


def test_paths_are_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somewhere")
    assert storage.normalise("a/b/") == str(tmp_path / "a/b")
    assert storage.normalise("~/a") == "/somewhere/a"
    assert storage.normalise("file:///a/b") == "/a/b"
    assert storage.normalise("FILE:///a/b") == "/a/b"
    assert storage.normalise("s3://bucket/a/") == "s3://bucket/a"
    assert storage.normalise("/a://b/c::d") == "/a:/b/c::d"
    with pytest.raises(UsageError, match="memory is not shared between processes"):
        storage.normalise("memory://a")


@pytest.fixture
def failing_store(s3_proxy, monkeypatch):
    """A file in the store, which answers 503 from now on."""
    monkeypatch.setattr(storage, "PAUSES", (0,))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # of botocore itself, which waits longer each time
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    uri = f"s3://{BUCKET}/{uuid.uuid4().hex}/x.bin"
    storage.write_bytes(uri, b"123")
    s3_proxy.fault = lambda method, path: "503"
    yield uri
    s3_proxy.fault = lambda method, path: None
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_a_store_that_keeps_failing_is_named(failing_store):
    for operation in (storage.exists, storage.list_names, storage.list_tree, storage.sha256, storage.read_json):
        with pytest.raises(ZsadError, match=f"^{failing_store}: cannot be read .the storage failed: ") as raised:
            operation(failing_store)
        assert SECRET not in str(raised.value)
    with pytest.raises(OSError, match="the storage failed"):
        storage.read_bytes(failing_store)
    with pytest.raises(ZsadError, match=f"^{failing_store}: cannot be written .the storage failed: "):
        storage.write_bytes(failing_store, b"")


def test_a_bucket_that_is_not_there_and_credentials_that_are_not(s3_proxy, monkeypatch, tmp_path):
    with pytest.raises(
        ZsadError, match="s3://no-such-bucket/x: cannot be written .The specified bucket does not exist"
    ):
        storage.write_bytes("s3://no-such-bucket/x", b"")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(ZsadError, match=f"s3://{BUCKET}/x: cannot be written .*Unable to locate credentials"):
        storage.write_bytes(f"s3://{BUCKET}/x", b"")
    (tmp_path / "credentials").write_text(f"[inspector]\naws_access_key_id = a\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "inspector")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    storage.write_bytes(f"s3://{BUCKET}/x", b"")
    monkeypatch.undo()
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_large_files_are_sent_in_parts(s3_proxy):
    """Above 100 MB; what the store holds is whole, and nothing is there before the last part."""
    sent = []
    s3_proxy.fault = lambda method, path: sent.append((method, "partNumber" in path))
    content = np.random.default_rng(0).bytes(110_000_000)
    uri = f"s3://{BUCKET}/{uuid.uuid4().hex}/large.bin"
    storage.write_bytes(uri, content)
    s3_proxy.fault = lambda method, path: None
    assert sent.count(("PUT", True)) == 3
    assert storage.sha256(uri) == hashlib.sha256(content).hexdigest()


FULL_DISK = """
import os, subprocess, sys
from pipelines import storage
from zsad_core.errors import ZsadError

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "none", sys.argv[1]], check=True)
storage.write_bytes(sys.argv[1] + "/first", bytes(50_000))
try:
    storage.write_bytes(sys.argv[1] + "/second", bytes(80_000))
except ZsadError as error:
    print(error)
print(os.listdir(sys.argv[1]))
"""


@pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode != 0,
    reason="this user may not mount a small disk",
)
def test_a_full_disk_is_named_and_nothing_half_written_stays(tmp_path):
    command = ["unshare", "-rm", sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    said = f"{tmp_path}/second: cannot be written (No space left on device)"
    assert done.stdout.splitlines() == [said, "['first']"]
