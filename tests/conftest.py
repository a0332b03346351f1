"""One embedded Ray for the whole test session."""

import os

import pytest


@pytest.fixture(scope="session")
def ray_session():
    import ray

    from pipelines import engine

    os.environ.pop("RAY_ADDRESS", None)
    engine.start()
    yield
    ray.shutdown()
