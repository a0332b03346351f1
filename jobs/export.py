"""Translate a method's checkpoint: ours (.safetensors) into its authors' layout (.pth), or theirs into ours.

zsad export visa.safetensors epoch_post_30_2.pth                    the authors' program reads it
zsad export epoch_post_9_2.pth visa.safetensors --auxiliary VisA --backbone ViT-L-14-336:openai
zsad export train_on_visa.pth visa.safetensors --method cops --auxiliary VisA --backbone ViT-L-14-336:openai

Bayes-PFL's program reads the training stage off the name `epoch_post_<epoch>_<stage>.pth`; any other name says 2.
"""

from __future__ import annotations

import argparse

from zsad_core.settings import ScoringSettings


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="file or URI")
    parser.add_argument("out", metavar="FILE", help="file or URI to write; its ending says which layout")
    parser.add_argument(
        "--method",
        help=f"whose authors' file it is, see `zsad ls methods` (default: {ScoringSettings.method}; ours name theirs)",
    )
    parser.add_argument("--auxiliary", metavar="NAME", help="the benchmark that the authors' file was trained on")
    parser.add_argument(
        "--backbone",
        metavar="NAME|FILE",
        help="that it was trained on; needed for an authors' file (ours names its own)",
    )


def run(options: argparse.Namespace) -> int:
    from pipelines import storage
    from zsad_core.errors import UsageError

    checkpoint, out = storage.normalise(options.checkpoint), storage.normalise(options.out)
    if {_suffix(checkpoint), _suffix(out)} != {".pth", ".safetensors"}:
        raise UsageError("one of CHECKPOINT and FILE must end with .pth, the other with .safetensors")
    wanted = {"--auxiliary NAME": options.auxiliary, "--backbone NAME|FILE": options.backbone}
    if out.endswith(".safetensors") and (missing := [name for name, given in wanted.items() if not given]):
        raise UsageError(
            "the authors' file says neither what it was trained on nor with which backbone: add "
            + " and ".join(missing)
        )
    if out.endswith(".pth") and options.auxiliary:
        raise UsageError("--auxiliary: our checkpoint names its own, and the authors' layout has no place for it")
    storage.write_bytes(out, _translated(checkpoint, out, options))
    print(f"wrote {options.out}")
    return 0


def _suffix(uri: str) -> str:
    return "." + uri.rpartition(".")[2]


def _translated(checkpoint: str, out: str, options: argparse.Namespace) -> bytes:
    import os
    import tempfile

    from pipelines import storage
    from zsad_core.benchmarks.table import benchmarks
    from zsad_core.checkpoints import read_facts
    from zsad_core.errors import UsageError, ZsadError
    from zsad_core.methods import method_module, traits_of
    from zsad_core.settings import split_backbone

    with tempfile.TemporaryDirectory(prefix="zsad-") as folder, storage.local_copy(checkpoint) as source:
        facts = read_facts(source)
        method = options.method or (facts["method"] if facts else ScoringSettings.method)
        if not traits_of(method).learns:
            raise UsageError(f"{method} learns nothing: it has no checkpoints")
        architecture, weights = split_backbone(options.backbone or (facts or {})["backbone"])
        with storage.local_copy(weights) as local_weights:
            model = method_module(method).build(architecture + local_weights, source, None, samples=1)
        written = os.path.join(folder, out.rpartition("/")[2])
        if facts:
            try:
                method_module(method, "checkpoint").save_released(model, written)
            except ZsadError as error:
                raise type(error)(str(error).replace(written, out)) from None
        else:
            names = {each.name.casefold(): each.name for each in benchmarks()}
            auxiliary = names.get(options.auxiliary.casefold(), options.auxiliary)
            origin = {"file": checkpoint.rpartition("/")[2], "sha256": storage.sha256(checkpoint)}
            method_module(method, "training").save(model, written, auxiliary, {"imported": origin})
        with open(written, "rb") as file:
            return file.read()


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("export")
