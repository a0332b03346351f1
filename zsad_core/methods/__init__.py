"""The methods by name, with what has to be known of them before they are imported, which loads torch.

Each is a folder with the same files in it, or a module where nothing is learned; see methods/base.py.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from zsad_core.errors import UsageError

if TYPE_CHECKING:  # loads torch
    from zsad_core.methods.base import Option


class Traits(NamedTuple):
    """package: a folder or module of this package. learns: it has weights of its own, in a checkpoint. has_backbone:
    it is built on a CLIP."""

    package: str
    learns: bool = True
    has_backbone: bool = True


METHODS = {
    "bayes-pfl": Traits("bayes_pfl"),
    "clip-ensemble": Traits("clip_ensemble", learns=False),
    "cops": Traits("cops"),
    "local-contrast": Traits("local_contrast", learns=False, has_backbone=False),
}


def traits_of(method: str) -> Traits:
    """Raises UsageError where there is no method of that name."""
    if method not in METHODS:
        close = [name for name in METHODS if name.casefold() == method.casefold()]
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(METHODS)}"
        raise UsageError(f"no method is named {method}; {hint}")
    return METHODS[method]


def method_module(method: str, part: str = "") -> ModuleType:
    """The package or module of `method`, or its module `part`; see methods/base.py for what they hold."""
    name = f"{__name__}.{traits_of(method).package}"
    return importlib.import_module(f"{name}.{part}" if part else name)


def options_of(method: str) -> dict[str, Option]:
    """The options of `method` by name (see methods/base.py)."""
    return getattr(method_module(method), "OPTIONS", {})


def shipped_checkpoint(method: str) -> str | None:
    """The file of the weights that this package brings for `method` on the default backbone; None without."""
    file = Path(__file__).parent / traits_of(method).package / "drawn.safetensors"
    return str(file) if file.is_file() else None
