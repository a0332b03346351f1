"""The head of this package's own checkpoints: what made them, read without torch.

One `.safetensors` file holds the method's tensors; its metadata's one entry, "zsad", holds the facts as JSON.
"""

from __future__ import annotations

import json
import os

from safetensors import SafetensorError, safe_open

from zsad_core.errors import ZsadError

SUFFIX = ".safetensors"
ENTRY = "zsad"
FACTS = {
    "method": str,
    "auxiliary": str,  # the benchmark that it was trained on
    "stage": int,
    "backbone": str,
    "backbone_sha256": str,
    "image_size": int,
    "activation": str,
    "options": dict,  # numbers of the method that the weights want in place of those published for a target
    "training": dict,
}


def read_facts(path: str) -> dict | None:
    """The facts (see FACTS) in the checkpoint file `path`; None for a file of the authors', which holds none.

    Raises ZsadError where a `.safetensors` file is missing or damaged, or is no checkpoint of this package.
    """
    if not path.endswith(SUFFIX):
        return None
    if not os.path.isfile(path):
        raise ZsadError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {})[ENTRY])
    except (SafetensorError, OSError) as error:
        raise ZsadError(f"{path}: damaged, no readable safetensors file ({error}); take an undamaged one") from None
    except (KeyError, ValueError, RecursionError):
        raise ZsadError(f"{path}: no checkpoint of a method (`zsad train` and `zsad export` write them)") from None
    if isinstance(facts, dict):
        facts.setdefault("options", {})  # not in files of before 2026-11-26
    wrong = [name for name, kind in FACTS.items() if not isinstance(facts, dict) or type(facts.get(name)) is not kind]
    if wrong:
        raise ZsadError(f"{path}: its head lacks {', '.join(wrong)}; train or import it again")
    return facts
