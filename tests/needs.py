"""What some tests need that a machine, or the oldest torch that the package takes, may not have."""

import shutil
import sysconfig
from pathlib import Path

import pytest
import torch

_COMPILER = any(map(shutil.which, ("g++", "clang++"))) and Path(sysconfig.get_path("include"), "Python.h").is_file()
_RECENT = hasattr(torch.optim, "Muon")  # torch 2.9
needs_compiler = pytest.mark.skipif(not _COMPILER, reason="no C++ compiler or no headers of Python")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
needs_muon = pytest.mark.skipif(not _RECENT, reason="pretraining needs torch 2.9, for its optimiser Muon")
needs_flop_counter = pytest.mark.skipif(not _RECENT, reason="the counter of torch 2.6 leaves out some of what is done")
