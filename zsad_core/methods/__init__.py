"""The methods by name; each is a folder with the same files in it, imported only when it is asked for."""

from __future__ import annotations

import importlib
from types import ModuleType

from zsad_core.errors import UsageError

METHODS = {"bayes-pfl": "zsad_core.methods.bayes_pfl"}


def method_module(name: str) -> ModuleType:
    """The package of the method `name`, which gives PROTOCOL and `build` (see methods/base.py)."""
    if name not in METHODS:
        raise UsageError(f"no method is named {name}; there are: {', '.join(METHODS)}")
    return importlib.import_module(METHODS[name])
