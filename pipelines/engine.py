"""Starts or joins Ray, streams units of work (shards) through steps, and shows progress."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import pickle
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import ray
import ray.data
from ray.util.annotations import RayDeprecationWarning

from pipelines import console, interrupt
from zsad_core.errors import UsageError, ZsadError
from zsad_core.settings import Device

RETRIES = 3  # of a unit whose process or machine dies
TASKS = 1000  # Ray Data takes some 20 ms of the driver for each: more units than that go several to a task
# Units that Ray Data has at once: each costs it 3 ms and 10 to 20 KB of the driver before the first is done.
WAVE = 8192
FEW = 8  # units of a second's work that are best done here: Ray takes ten before its first task
_T = TypeVar("_T")


def start() -> None:
    """Join the cluster named by RAY_ADDRESS (as `ray job submit` sets it); without one, start Ray in this machine."""
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it logs what `stream` raises
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = None  # a shard stays one block whatever its size
    if ray.is_initialized():
        return
    console.say("starting Ray")
    # Ray's native layer warns on every start of an actor pool (ray-project/ray#53727), and says so when told not to.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # Arrow's own allocator keeps what a worker once had; the system's gives it back, a fifth of a worker's memory.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # Actors compute in a thread that is not their first: with a heap of its own, glibc would give its memory back after
    # every tensor, whatever zsad_core.scoring asks for.
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    # A worker that has loaded its libraries waits for the next step: by default it would end after a second.
    os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", "30000")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    with _native_messages_hidden():
        if os.environ.get("RAY_ADDRESS"):
            ray.init(**quiet)
        else:
            _start_here(address="local", include_dashboard=False, **quiet)


def map_units(units: list[dict], work: Callable[[dict], dict], *, cpus: float = 0.5, few: int = 0) -> Iterator[dict]:
    """Yield `work(unit)` for every unit, in the order in which they finish, in Ray tasks; up to `few` units here.

    `work` and its results travel between processes: plain values, small results. Errors are raised as `stream` does.
    """

    def work_through(group: dict) -> dict:
        done = [guarded(work)({**unit, "isolated": group["isolated"]}) for unit in pickle.loads(group["units"])]
        return {"done": pickle.dumps(done)}

    size = max(1, -(-len(units) // TASKS))
    numbered = [{**unit, "number": number} for number, unit in enumerate(units)]
    groups = [numbered[start : start + size] for start in range(0, len(units), size)]
    rows = [{"name": _names(group), "units": pickle.dumps(group)} for group in groups]
    failures: list[str] = []

    def graph(dataset: ray.data.Dataset) -> ray.data.Dataset:
        return dataset.map(guarded(work_through), num_cpus=cpus, max_retries=RETRIES)

    for row in _stream(rows, graph, failures) if len(units) > few else _here(rows, work_through):
        for result in pickle.loads(row["done"]):
            if "failure" in result:
                failures.append(result["failure"])
            else:
                del result["number"]
                yield result
    _raise(failures)


def _here(rows: list[dict], work: Callable[[dict], dict]) -> Iterator[dict]:
    for row in rows:
        interrupt.check()
        yield work({**row, "isolated": False})


def _names(group: list[dict]) -> str:
    return group[0]["name"] + (f" and the {len(group) - 1} after it" if len(group) > 1 else "")


def guarded(work: Callable[[dict], dict]) -> Callable[[dict], dict]:
    """`work` as a step of a dataset: an exception becomes a row that passes all later steps and that `stream` raises.

    Ray turns an exception of a task into a text with tracebacks; the user is to see the message alone.
    """

    @functools.wraps(work)
    def step(unit: dict) -> dict:
        if "failure" in unit:
            return unit
        number = unit["number"]
        try:
            return {**work(unit), "number": number}
        except ZsadError as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001, whatever it is, the other units go on
            failure = f"{unit['name']}: {type(error).__name__}: {error}"
            if os.environ.get("ZSAD_DEBUG"):
                failure += f"\n{traceback.format_exc()}"
        return {"failure": failure, "number": number}

    return step


def stream(units: list[dict], graph: Callable[[ray.data.Dataset], ray.data.Dataset]) -> Iterator[dict]:
    """Yield what becomes of each unit in `graph`, a chain of guarded steps, in the order in which they finish.

    A unit is one row and one block; its `name` is the file or folder that messages call it by. One whose process dies
    RETRIES times more is done once again with `isolated` True, for a step to find out what kills it. ZsadError at the
    end, when all other units are done, that names all failures.
    """
    failures: list[str] = []
    yield from _stream(units, graph, failures)
    _raise(failures)


def _stream(
    units: list[dict], graph: Callable[[ray.data.Dataset], ray.data.Dataset], failures: list[str]
) -> Iterator[dict]:
    """`stream`, but for the error at its end: messages are added to `failures`."""
    start()
    ray.data.DataContext.get_current().max_errored_blocks = -1  # a unit that is lost must not end the others
    left = dict(enumerate(units))
    for isolated in (False, True):
        if not left:
            break
        if isolated:
            console.say(
                f"{len(left)} of {len(units)} parts of the work lost their process or machine {RETRIES + 1} times: "
                "once more, by file"
            )
        numbers = [*left]
        for start_of_wave in range(0, len(numbers), WAVE):
            wave = numbers[start_of_wave : start_of_wave + WAVE]
            rows = [{**units[number], "number": number, "isolated": isolated} for number in wave]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RayDeprecationWarning)  # of `max_retries`: see pyproject.toml
                dataset = graph(ray.data.from_items(rows, override_num_blocks=len(rows)))
            for row in dataset.iter_rows():
                interrupt.check()
                del left[row.pop("number")]
                if "failure" in row:
                    failures.append(row["failure"])
                else:
                    yield row
            interrupt.check()
    failures += [
        f"{unit['name']}: the process that works on it dies each time; is memory short?" for unit in left.values()
    ]


def _raise(failures: list[str]) -> None:
    if failures:
        more = f"\nand {len(failures) - 10} more" if len(failures) > 10 else ""
        raise ZsadError("\n".join(sorted(failures)[:10]) + more)


def call(function: Callable[..., dict], *arguments: Any, gpu: bool = False) -> dict:
    """`function(*arguments)` in a worker process that ends with it, so that what it loads (torch) is not kept.

    `gpu`: where there is one, which it may share with anything.
    """
    start()
    task = ray.remote(num_cpus=0.5, num_gpus=0.01 if gpu else 0, max_calls=1)(_value_or_error)
    return _value(task.remote(function, *arguments))


def in_order(label: str, function: Callable[..., _T], items: Sequence[Any], *shared: Any) -> Iterator[_T]:
    """Yield `function(item, *shared)` of each item, in their order: here for one item, in Ray tasks for several.

    What takes long shows its progress as `label`.
    """
    if len(items) <= 1:
        yield from (function(item, *shared) for item in items)
        return
    start()
    task = ray.remote(num_cpus=1, max_retries=RETRIES)(_value_or_error)
    arguments = [ray.put(each) for each in (function, *shared)]
    at_once = max(1, 2 * int(resources()["CPU"]))  # results wait for those before them: not for many
    progress = console.Progress(label, len(items), "parts", patience=10)
    waiting: deque[ray.ObjectRef] = deque()
    for number in range(len(items) + at_once):
        if number < len(items):
            waiting.append(task.remote(arguments[0], items[number], *arguments[1:]))
        if number >= at_once and waiting:
            yield _value(waiting.popleft())
            progress.advance(1)


def _value_or_error(function: Callable[..., _T], *arguments: Any) -> tuple[_T | None, ZsadError | None]:
    try:
        return function(*arguments), None
    except ZsadError as error:
        return None, error


def _value(result: ray.ObjectRef) -> Any:
    value, error = ray.get(result)
    interrupt.check()
    if error:
        raise error
    return value


def _start_here(**options: Any) -> None:
    """Ray gives its own processes 30 seconds to start, which a busy small machine may miss once."""
    for attempts_left in (2, 1, 0):
        try:
            ray.init(**options)
            return
        except Exception as error:  # it raises a plain one
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
            if not attempts_left:
                raise ZsadError("Ray could not start within its time; is this machine very busy?") from None


@contextlib.contextmanager
def _native_messages_hidden() -> Iterator[None]:
    """Keeps what is not Python's from standard error; errors still come out as exceptions."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def device(given: Device | None) -> Device:
    """Where models compute: as `given`, else on a GPU where Ray has one.

    UsageError for a GPU that this machine has not; on a cluster, whose GPUs may be yet to join, the work waits.
    """
    gpus = resources()["GPU"]
    if given == "cuda" and not gpus:
        if not os.environ.get("RAY_ADDRESS"):
            raise UsageError("--device cuda: Ray finds no GPU in this machine; leave out --device")
        console.say("no GPU in the cluster yet: the work waits until one joins")
    return given or ("cuda" if gpus else "cpu")


def resources() -> dict[str, float]:
    """What all of Ray's nodes have together: CPU (cores), GPU, memory (bytes)."""
    start()
    return {name: ray.cluster_resources().get(name, 0.0) for name in ("CPU", "GPU", "memory")}
