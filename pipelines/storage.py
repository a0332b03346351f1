"""Every path is a URI that fsspec knows; a file written here is either absent or whole.

A local disk is asked once; an object store that fails is asked again for a minute.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractBufferedFile

from zsad_core.errors import UsageError, ZsadError

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
PAUSES = (1, 2, 4, 8, 16, 30)  # seconds before an object store that failed is asked again
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError, ValueError)
_FINAL_BY_NAME = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
)  # of botocore, which may be absent
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}\.tmp", re.DOTALL)
_UNREADABLE = "cannot be read"
_T = TypeVar("_T")


def is_uri(name: str) -> bool:
    """Whether `name` is a URI; everything else is a local path, whatever characters it has."""
    return bool(_URI.match(name))


def normalise(uri: str) -> str:
    """The URI with `~` expanded and local paths made absolute, so that every process reads it alike."""
    if not is_uri(uri):
        return os.path.abspath(os.path.expanduser(uri))
    protocol, _, place = uri.partition("://")
    protocol = protocol.lower()
    if protocol == "memory":
        raise UsageError(f"{uri}: memory is not shared between processes; name a folder or an object store")
    return LocalFileSystem._strip_protocol(f"file://{place}") if protocol == "file" else uri.rstrip("/")


def join(uri: str, *parts: str) -> str:
    """`uri/part/part`."""
    return "/".join([uri.rstrip("/"), *parts])


def file_name(uri: str) -> str:
    """What is behind the last slash."""
    return uri.rsplit("/", 1)[-1]


def _filesystem(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    if not is_uri(uri):
        return LocalFileSystem(), uri
    try:
        return fsspec.core.url_to_fs(uri, use_listings_cache=False)  # other processes write there too
    except (ImportError, ValueError) as error:
        raise ZsadError(f"{uri}: no such kind of storage ({error})") from None


def _ask(filesystem: fsspec.AbstractFileSystem, operation: Callable[..., _T], *arguments: Any) -> _T:
    """`operation(*arguments)` of the filesystem; raises OSError, and what is not the storage's fault as it is."""
    for pause in (*PAUSES, None):
        try:
            return operation(*arguments)
        except _FINAL:
            raise
        except Exception as error:
            # Arrow says so of a damaged file: an OSError without a number.
            damaged = type(error) is OSError and error.errno is None
            if isinstance(filesystem, LocalFileSystem) or damaged:
                raise
            if pause is None or type(error).__name__ in _FINAL_BY_NAME:
                raise OSError(errno.EIO, f"the storage failed: {error or type(error).__name__}") from None
            time.sleep(pause)
    raise AssertionError("not reached")


@contextlib.contextmanager
def _naming(uri: str, what: str = _UNREADABLE) -> Iterator[None]:
    """Has OSErrors come out as a ZsadError that names the URI."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) and what == _UNREADABLE:
            raise ZsadError(f"{uri}: no such file") from None
        raise ZsadError(f"{uri}: {what} ({error.strerror or error})") from None


def without_credentials(text: str) -> str:
    """The text without those that URIs in it may hold: they reach no file, message or log."""
    return re.sub(r"//[^/@\s]+@", "//***@", text)


def absolute(name: str) -> str:
    """A local file by its full path, since workers run elsewhere; any other name as it is."""
    return os.path.abspath(name) if os.path.isfile(name) else name


def exists(uri: str) -> bool:
    filesystem, path = _filesystem(uri)
    with _naming(uri):
        return _ask(filesystem, filesystem.exists, path)


def is_directory(uri: str) -> bool:
    filesystem, path = _filesystem(uri)
    with _naming(uri):
        return _ask(filesystem, filesystem.isdir, path)


def list_tree(uri: str) -> tuple[list[str], list[str]]:
    """Files and directories below `uri`, each as sorted paths relative to it; linked directories are followed.

    Raises ZsadError where `uri` is no directory.
    """
    filesystem, root = _filesystem(uri)
    if not is_directory(uri):
        raise ZsadError(f"{uri}: {'a file, not a directory' if exists(uri) else 'no such directory'}")
    if isinstance(filesystem, LocalFileSystem):
        return _list_local_tree(root)
    files: list[str] = []
    directories: list[str] = []
    with _naming(uri):
        found = _ask(filesystem, functools.partial(filesystem.find, root, withdirs=True, detail=True))
    for path, info in found.items():
        if relative := path[len(root) :].strip("/"):
            (directories if info["type"] == "directory" else files).append(relative)
    return sorted(files), sorted(directories)


def list_versions(uri: str) -> dict[str, str]:
    """Path -> version of every file below the directory `uri`, sorted by path; of the file itself, under its name.

    A version is "size:stamp"; a file that is written anew gets another stamp, by its ETag or time. Raises ZsadError
    where there is nothing.
    """
    filesystem, root = _filesystem(uri)
    if not is_directory(uri):
        if not exists(uri):
            raise ZsadError(f"{uri}: no such directory or file")
        with _naming(uri):
            return {uri.rsplit("/", 1)[-1]: _version(_ask(filesystem, filesystem.info, root))}
    if isinstance(filesystem, LocalFileSystem):
        versions = {}
        for path in _list_local_tree(root)[0]:
            with contextlib.suppress(FileNotFoundError):  # it was removed since, or is a link to nothing
                versions[path] = _version(filesystem.info(os.path.join(root, path)))
        return versions
    with _naming(uri):
        found = _ask(filesystem, functools.partial(filesystem.find, root, detail=True))
    return {path[len(root) :].strip("/"): _version(found[path]) for path in sorted(found)}


def _version(info: dict[str, Any]) -> str:
    stamps = (info.get(name) for name in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified"))
    stamp = next((str(each) for each in stamps if each), "").strip('"')
    return f"{info.get('size')}:{stamp}"


def _list_local_tree(root: str) -> tuple[list[str], list[str]]:
    files, directories, entered = [], [], set()
    for folder, below, names in os.walk(root, followlinks=True):
        if os.path.realpath(folder) in entered:  # a link that leads back up
            below.clear()
            continue
        entered.add(os.path.realpath(folder))
        files += [os.path.relpath(os.path.join(folder, name), root) for name in names]
        directories += [os.path.relpath(os.path.join(folder, name), root) for name in below]
    return sorted(files), sorted(directories)


def list_names(uri: str) -> list[str]:
    """Sorted names of what lies directly in the directory `uri`; empty where there is none."""
    filesystem, path = _filesystem(uri)
    if not is_directory(uri):
        return []
    with _naming(uri):
        entries = [
            entry.rstrip("/") for entry in _ask(filesystem, functools.partial(filesystem.ls, path, detail=False))
        ]
    # An object store may list the directory's own marker.
    return sorted(entry.rsplit("/", 1)[-1] for entry in entries if entry != path.rstrip("/"))


def read_bytes(uri: str, start: int | None = None, end: int | None = None) -> bytes:
    """The whole content, or that from byte `start` to before `end`; raises the filesystem's own OSError
    (FileNotFoundError, IsADirectoryError, ...)."""
    filesystem, path = _filesystem(uri)
    return _ask(filesystem, functools.partial(filesystem.cat_file, path, start=start, end=end))


def open_for_reading(uri: str) -> BinaryIO:
    """The file opened at its start, for readers that fetch parts of it; raises the filesystem's own OSError."""
    filesystem, path = _filesystem(uri)
    file = _ask(filesystem, filesystem.open, path, "rb")
    if isinstance(file, AbstractBufferedFile):
        file.cache.fetcher = functools.partial(_ask, filesystem, file.cache.fetcher)
    return file


def read_text(uri: str) -> str:
    """The content of a text file in UTF-8, with or without a byte order mark. Raises ZsadError where there is none."""
    try:
        with _naming(uri):
            return read_bytes(uri).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ZsadError(f"{uri}: not UTF-8 text; save it as UTF-8") from None


def read_json(uri: str) -> Any:
    try:
        with _naming(uri):
            return json.loads(read_bytes(uri))
    except (ValueError, RecursionError) as error:
        raise ZsadError(f"{uri}: not valid JSON ({error})") from None


def write_bytes(uri: str, content: bytes) -> None:
    """Write `content` so that a reader sees all of it or no file: a rename locally, one put on an object store.

    Raises ZsadError where it cannot be written.
    """
    filesystem, path = _filesystem(uri)
    with _naming(uri, "cannot be written"):
        if isinstance(filesystem, LocalFileSystem):
            _write_local(path, content)
        else:
            _ask(filesystem, filesystem.pipe_file, path, content)


def _write_local(path: str, content: bytes) -> None:
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
    with _naming(uri, "cannot be removed"), contextlib.suppress(FileNotFoundError):
        _ask(filesystem, filesystem.rm_file, path)


def remove_unfinished(uri: str) -> None:
    """Remove what killed processes left half-written below the directory `uri`; nobody else may be writing there.

    An object store shows no half-written files.
    """
    if not is_uri(uri):
        for folder, _, names in os.walk(uri):
            for name in filter(_UNFINISHED.fullmatch, names):
                remove(os.path.join(folder, name))


@contextlib.contextmanager
def local_copy(uri: str) -> Iterator[str]:
    """A local path with the content of `uri`, under its own file name: itself where it is local, else a download that
    is gone afterwards. Raises ZsadError for a URI without a file."""
    filesystem, path = _filesystem(uri)
    if isinstance(filesystem, LocalFileSystem):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="zsad-") as folder:
        target = os.path.join(folder, os.path.basename(path))
        with _naming(uri):
            _ask(filesystem, filesystem.get_file, path, target)
        yield target


def sha256(uri: str) -> str:
    """Hex digest of a file's content, read piece by piece. Raises ZsadError where it cannot be read."""
    digest = hashlib.sha256()
    with _naming(uri), open_for_reading(uri) as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()
