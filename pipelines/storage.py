"""Every path is a URI that fsspec knows; a file written here is either absent or whole."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import uuid
from typing import Any, BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from zsad_core.errors import ZsadError


def normalise(uri: str) -> str:
    """The URI with `~` expanded and local paths made absolute, so that every process reads it alike."""
    if "://" not in uri:
        return os.path.abspath(os.path.expanduser(uri))
    return uri.removeprefix("file://") if uri.startswith("file://") else uri.rstrip("/")


def join(uri: str, *parts: str) -> str:
    """`uri/part/part`."""
    return "/".join([uri.rstrip("/"), *parts])


def _filesystem(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    try:
        return fsspec.core.url_to_fs(uri)
    except (ImportError, ValueError) as error:
        raise ZsadError(f"{uri}: no such kind of storage ({error})") from None


def exists(uri: str) -> bool:
    filesystem, path = _filesystem(uri)
    return filesystem.exists(path)


def is_directory(uri: str) -> bool:
    filesystem, path = _filesystem(uri)
    return filesystem.isdir(path)


def list_tree(uri: str) -> tuple[list[str], list[str]]:
    """Files and directories below `uri`, each as sorted paths relative to it; a missing `uri` raises ZsadError."""
    filesystem, root = _filesystem(uri)
    if not filesystem.isdir(root):
        raise ZsadError(f"{uri}: no such directory")
    filesystem.invalidate_cache()
    files, directories = [], []
    for path, info in filesystem.find(root, withdirs=True, detail=True).items():
        relative = (
            os.path.relpath(path, root) if isinstance(filesystem, LocalFileSystem) else path[len(root) :].strip("/")
        )
        if relative not in (".", ""):
            (directories if info["type"] == "directory" else files).append(relative)
    return sorted(files), sorted(directories)


def list_names(uri: str) -> list[str]:
    """Sorted names of what lies directly in the directory `uri`; empty where there is none."""
    filesystem, path = _filesystem(uri)
    filesystem.invalidate_cache()
    if not filesystem.isdir(path):
        return []
    return sorted(entry.rstrip("/").rsplit("/", 1)[-1] for entry in filesystem.ls(path, detail=False))


def read_bytes(uri: str) -> bytes:
    """The whole content; raises the filesystem's own OSError (FileNotFoundError, IsADirectoryError, ...)."""
    filesystem, path = _filesystem(uri)
    return filesystem.cat_file(path)


def open_for_reading(uri: str) -> BinaryIO:
    """The file opened at its start, for readers that fetch parts of it; raises the filesystem's own OSError."""
    filesystem, path = _filesystem(uri)
    return filesystem.open(path, "rb")


def read_json(uri: str) -> Any:
    try:
        return json.loads(read_bytes(uri))
    except FileNotFoundError:
        raise ZsadError(f"{uri}: no such file") from None
    except ValueError as error:
        raise ZsadError(f"{uri}: not valid JSON ({error})") from None


def write_bytes(uri: str, content: bytes) -> None:
    """Write `content` so that a reader sees all of it or no file: a rename locally, one put on an object store."""
    filesystem, path = _filesystem(uri)
    if not isinstance(filesystem, LocalFileSystem):
        filesystem.pipe_file(path, content)
        return
    directory, name = os.path.split(path)
    os.makedirs(directory, exist_ok=True)
    unfinished = os.path.join(directory, f".{name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(unfinished, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
        raise


def write_json(uri: str, value: Any) -> None:
    """Write `value` with a fixed layout, so that equal values give equal bytes."""
    write_bytes(uri, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def remove(uri: str) -> None:
    """Remove one file; a file that is not there is fine."""
    filesystem, path = _filesystem(uri)
    try:
        filesystem.rm_file(path)
    except FileNotFoundError:
        pass


def local_copy(uri: str) -> str:
    """A local path with the content of `uri`, under its own file name: itself where it is local, else a download."""
    filesystem, path = _filesystem(uri)
    if isinstance(filesystem, LocalFileSystem):
        return path
    folder = os.path.join(tempfile.gettempdir(), "zsad-" + hashlib.sha256(uri.encode()).hexdigest()[:16])
    target = os.path.join(folder, os.path.basename(path))
    if not os.path.exists(target):
        try:
            write_bytes(target, filesystem.cat_file(path))
        except FileNotFoundError:
            raise ZsadError(f"{uri}: no such file") from None
    return target
