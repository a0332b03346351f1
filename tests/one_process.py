"""The pipeline's units of work done in this process, one after another, where it does not matter that Ray does them."""

import contextlib

import pytest

from pipelines import engine


class Rows:
    """Stands for a dataset of Ray's: its steps are called here, one row after another."""

    def __init__(self, rows, **_):
        self.rows = rows

    def map(self, step, *, fn_constructor_args=(), **_):
        return Rows(map(step(*fn_constructor_args) if isinstance(step, type) else step, self.rows))

    def iter_rows(self):
        return iter(self.rows)


@contextlib.contextmanager
def one_process():
    """A worker of Ray's loads its libraries for up to ten seconds; tests/e2e shows that the results are the same."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engine, "start", lambda: None)
        patched.setattr(engine, "resources", lambda: {"CPU": 2.0, "GPU": 0.0, "memory": 16e9})
        patched.setattr(engine, "call", lambda function, *arguments, gpu=False: function(*arguments))
        patched.setattr(engine, "in_order", lambda _, function, items, *shared: (function(i, *shared) for i in items))
        patched.setattr(engine.ray.data, "from_items", Rows)
        yield
