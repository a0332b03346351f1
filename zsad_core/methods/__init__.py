"""The methods by name; each is a folder with the same files in it (a module where nothing is learned).

They are imported only when asked for.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from zsad_core.errors import UsageError

if TYPE_CHECKING:  # loads torch
    from zsad_core.methods.base import Option

METHODS = {"bayes-pfl": "zsad_core.methods.bayes_pfl", "local-contrast": "zsad_core.methods.local_contrast"}
LEARNING_NOTHING = ("local-contrast",)  # they have no backbone and no checkpoint


def package_of(method: str) -> str:
    """The name of the package or module of `method`. Raises UsageError where there is none of that name."""
    if method not in METHODS:
        raise UsageError(f"no method is named {method}; there are: {', '.join(METHODS)}")
    return METHODS[method]


def method_module(method: str) -> ModuleType:
    """The package or module of `method`, which gives PROTOCOL and `build` (see methods/base.py)."""
    return importlib.import_module(package_of(method))


def options_of(method: str) -> dict[str, Option]:
    """The options of `method` by name (see methods/base.py)."""
    return getattr(method_module(method), "OPTIONS", {})


def shipped_checkpoint(method: str) -> str | None:
    """The file of the weights that this package brings for `method` on the default backbone; None without."""
    file = Path(__file__).parent / package_of(method).rpartition(".")[2] / "drawn.safetensors"
    return str(file) if file.is_file() else None
