"""What tests of compiled towers need."""

import shutil
import sysconfig
from pathlib import Path

import pytest

_COMPILER = any(map(shutil.which, ("g++", "clang++"))) and Path(sysconfig.get_path("include"), "Python.h").is_file()
needs_compiler = pytest.mark.skipif(not _COMPILER, reason="no C++ compiler or no headers of Python")
