"""The models that the golden files come from, and checkpoints of them."""

import json

import safetensors.torch
import torch

from zsad_core.benchmarks.table import benchmarks
from zsad_core.checkpoints import read_facts
from zsad_core.methods import method_module
from zsad_core.methods.bayes_pfl.model import Noise
from zsad_core.methods.weights import method_state, save


def built(golden, **changes):
    """The golden files' model, or one with other arguments of its method's `build`."""
    options = {"image_size": golden.meta["image_size"], "samples": golden.samples}
    options |= {"backbone": golden.backbone, "checkpoint": golden.checkpoint}
    return method_module(golden.method).build(**(options | changes))


def golden_prompts(golden):
    """What Bayes-PFL calls the objects in the golden files' images."""
    prompts = {category.name: category.prompt for benchmark in benchmarks() for category in benchmark.categories}
    return [prompts[name] for name in golden.meta["names"]]


def golden_noise(golden):
    """The noise of the golden files' images, as the method takes it."""
    if golden.method == "cops":
        return torch.from_numpy(golden.stacked("z"))
    arrays = golden.stacked("eps_context"), golden.arrays["eps_normal"], golden.arrays["eps_abnormal"]
    return Noise(*map(torch.from_numpy, arrays))


def official(golden):
    """The weights in the golden file of the authors' format, by their names."""
    (weights,) = torch.load(golden.checkpoint, weights_only=True).values()
    return weights


def written(facts_of, model, folder, name="visa.safetensors", **changes):
    """The path of our checkpoint of `model`; its facts are what its method's `facts_of` gives, with `changes`."""
    path = str(folder / name)
    save(model, path, facts_of(model, "VisA", {"epochs": 3}) | changes)
    return path


def change_checkpoint(path, change):
    """Change the tensors and the facts of our checkpoint."""
    tensors, facts = safetensors.torch.load_file(path), read_facts(path)
    change(tensors, facts)
    safetensors.torch.save_file(tensors, path, {"zsad": json.dumps(facts)})


def assert_equal_weights(one, other):
    one, other = method_state(one), method_state(other)
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in one.items())
