"""Tensors from weight files of any origin: nothing in them is run, and they take little more memory than their size."""

from __future__ import annotations

import collections
import os
import pickletools
import warnings
import zipfile
from collections.abc import Iterator, Mapping

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from zsad_core.errors import ZsadError

# Bytes that a file's parts may have beyond its own size: the programs in TorchScript archives are compressed.
_INFLATED = 2**28


def read_tensors(path: str) -> dict:
    """The content of a `.safetensors` file, a TorchScript archive or a `torch.save` file, read without running pickles.

    Raises ZsadError naming the file when it is none of these, or would take much more memory than its own size.
    """
    if not os.path.isfile(path):
        raise ZsadError(f"{path}: no such file")
    if path.endswith(".safetensors"):
        try:
            return safetensors.torch.load_file(path)
        except Exception as error:  # noqa: BLE001, so does this, on types that torch lacks
            raise ZsadError(f"{path}: not a readable safetensors file ({first_line(error)})") from None
    check_archive(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # OpenAI's own files are TorchScript archives, which torch calls deprecated
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # noqa: BLE001, broken bytes make it raise nearly anything
            if "TorchScript" not in str(error):
                raise ZsadError(f"{path}: not a readable checkpoint ({first_line(error)})") from None
            try:
                loaded = torch.jit.load(path, map_location="cpu").state_dict()
            except Exception as error:  # noqa: BLE001
                raise ZsadError(f"{path}: not a readable TorchScript archive ({first_line(error)})") from None
    if not isinstance(loaded, dict):
        raise ZsadError(f"{path}: holds a {type(loaded).__name__} where a dictionary of tensors was expected")
    for key, value in _tensors(loaded):
        if not _is_plain(value):
            raise ZsadError(f"{path}: '{key}' is no plain tensor with all of its values in the file; save it as one")
    return loaded


def check_finite(path: str, tensors: Mapping[str, Tensor]) -> None:
    """Raises ZsadError where one of the weights read from `path` is no tensor of finite floating point numbers."""
    for key, value in tensors.items():
        if not isinstance(value, Tensor) or not value.is_floating_point() or not torch.isfinite(value.float()).all():
            raise ZsadError(f"{path}: '{key}' is no tensor of finite numbers; take an undamaged file")


def check_archive(path: str) -> None:
    """Raises ZsadError for a zip file that inflates to much more than its size, or that runs a program when loaded."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > os.path.getsize(path) + _INFLATED:
                raise ZsadError(f"{path}: its compressed parts are too large; save the state dict with torch.save")
            programs = [archive.read(name) for name in archive.namelist() if "/code/" in name]
            for name in archive.namelist():
                if name.endswith(".pkl"):  # torch believes the lengths in it, up to 4 GB
                    collections.deque(pickletools.genops(archive.read(name)), maxlen=0)
    except ZsadError:
        raise
    except Exception as error:  # noqa: BLE001, both raise nearly anything on broken bytes
        raise ZsadError(f"{path}: not a readable checkpoint ({first_line(error)})") from None
    if any(b"__setstate__" in program for program in programs):
        raise ZsadError(f"{path}: it would run a program of its own when loaded; save its state dict with torch.save")


def _tensors(loaded: dict) -> Iterator[tuple[str, Tensor]]:
    """The tensors in a dictionary and in those that it holds."""
    for key, value in loaded.items():
        inner = value if isinstance(value, dict) else {key: value}
        yield from ((str(name), each) for name, each in inner.items() if isinstance(each, Tensor))


def _is_plain(value: Tensor) -> bool:
    """Whether the values are all there: a tensor may also repeat one over any shape, or have a shape alone."""
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def first_line(error: BaseException) -> str:
    """What a library says of a file, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] or type(error).__name__
