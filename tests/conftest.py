"""One embedded Ray for the whole test session, and the tiny seeded models whose outputs the golden files hold."""

import json
import os
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch

from tests import object_store
from tests.golden import recipe
from zsad_core.settings import ScoringSettings

hypothesis.settings.register_profile("busy machines", deadline=None)
hypothesis.settings.load_profile("busy machines")

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def store_ports():
    """(of the S3 server, of the proxy before it); the environment names the proxy, for Ray's processes too."""
    ports = object_store.free_port(), object_store.free_port()
    os.environ.update(object_store.environment(ports[1]))
    return ports


@pytest.fixture(scope="session")
def s3_proxy(store_ports):
    """The proxy before an S3 server; nothing fails but what a test has fail."""
    server, proxy = object_store.start_server(store_ports[0]), object_store.Proxy(*store_ports)
    yield proxy
    proxy.close()
    server.terminate()
    server.wait()


@pytest.fixture(scope="session")
def ray_session(store_ports):
    import ray

    from pipelines import engine

    os.environ.pop("RAY_ADDRESS", None)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(GOLDEN.parent / "poison"))  # of its processes
        engine.start()
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def without_ray(store_ports):
    """See tests.one_process; for all of a module's tests."""
    from tests.one_process import one_process

    with one_process():
        yield


@pytest.fixture
def torch_restored():
    """For tests that train in this process: a training sets torch's threads and algorithms."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


class Golden:
    """One golden npz: its arrays, its meta data, the inputs and the backbone file that belong to it."""

    def __init__(self, method, folder):
        name = f"{method.replace('-', '_')}_tiny"
        self.method, self.arrays = method, np.load(GOLDEN / f"{name}.npz")
        self.meta = json.loads(str(self.arrays["meta"]))
        self.samples = self.meta.get("R") or self.meta["n_samples"]
        self.checkpoint = str(GOLDEN / f"{name}_official_format.pth")
        state = recipe.clip_state_dict(self.meta["cfg"], self.meta["seed_clip"])
        self.backbone_state = {key: torch.from_numpy(value) for key, value in state.items()}
        self.backbone = str(folder / "clip.pt")
        torch.save(self.backbone_state, self.backbone)
        self.count = sum(key.endswith("/image_features") for key in self.arrays)
        self.images = torch.from_numpy(recipe.images(self.count, self.meta["image_size"], self.meta["seed_image"]))

    def stacked(self, name):
        return np.stack([self.arrays[f"image{i}/{name}"] for i in range(self.count)])


@pytest.fixture(scope="session")
def bayes_pfl_golden(tmp_path_factory):
    return Golden("bayes-pfl", tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="session")
def cops_golden(tmp_path_factory):
    return Golden("cops", tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="session")
def settings(bayes_pfl_golden):
    """Bayes-PFL on the tiny seeded backbone, quick to run."""
    return ScoringSettings(
        backbone=bayes_pfl_golden.backbone,
        checkpoint=bayes_pfl_golden.checkpoint,
        image_size=98,
        samples=2,
        batch_size=3,
    )
