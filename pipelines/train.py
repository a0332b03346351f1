"""A packed auxiliary benchmark to a checkpoint, on Ray Train with one worker; cut off, it goes on from its last epoch.

One worker, since dice and focal are ratios over a whole batch: of parts of it they would be others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
import threading
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import ray

os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")  # older releases of Ray ask for it before ray.train is imported
os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # a process more; a lost worker starts again anyway
from ray.train import FailureConfig, RunConfig, ScalingConfig

# TorchTrainer, made of it, would load torch into the driver, and sets up talk between workers, of which there is one.
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.util.queue import Empty, Queue

from pipelines import console, engine, interrupt, lock, provenance, shards, storage
from pipelines.auxiliary import PUBLISHED, Part, choose_validation, packed
from pipelines.losses import read_losses
from pipelines.training_task import CHECKPOINT, Task, carry_out, describe
from zsad_core.benchmarks.table import benchmarks
from zsad_core.errors import UsageError, ZsadError
from zsad_core.methods import traits_of
from zsad_core.settings import split_backbone
from zsad_core.training_settings import TrainingSettings

if TYPE_CHECKING:  # loads torch
    pass

FACTS = "train.json"
LEFT_OPEN = ("image_size", "epochs", "batch_size")  # to the recipe and the backbone, unless the user names them
RESTARTS = 3  # of a worker that died, in one call; each goes on from the last epoch
STOPPING = 60  # seconds that an interrupted training has to finish the batch it is at


def train(
    shards_uri: str, run_uri: str, settings: TrainingSettings, auxiliary: str, validation: str
) -> list[dict[str, float]]:
    """Train on the benchmark `auxiliary`, or go on where the training in `run_uri` stopped.

    `validation`: see auxiliary.choose_validation; not asked for where the method's recipe has none. Writes train.json,
    losses.csv, losses.svg and checkpoint.safetensors; returns the rows of losses.csv. Raises ZsadError where the folder
    holds a training of other settings.
    """
    shards_uri, run_uri = storage.normalise(shards_uri), storage.normalise(run_uri)
    _check(settings.method, run_uri)
    auxiliary_set = packed(shards_uri, auxiliary)
    for line in shards.shown_warnings(auxiliary_set.shard_set.manifest):
        console.say(line)
    on_hardware = _on_hardware(settings)
    console.say(f"loading {settings.method} on {settings.backbone}")
    architecture, weights = split_backbone(settings.backbone)
    settings = dataclasses.replace(settings, backbone=architecture + storage.absolute(weights))
    facts = engine.call(describe, settings, auxiliary_set.benchmark)
    complete = settings.complete(**on_hardware, **{name: facts.pop(name) for name in LEFT_OPEN})
    learnt, judged = auxiliary_set, dataclasses.replace(auxiliary_set, categories=())
    if facts.pop("validates"):
        learnt, judged = choose_validation(shards_uri, auxiliary_set, validation)
    published = judged.benchmark != learnt.benchmark
    _say_data(learnt, judged, validation)
    task = Task(run_uri, complete, learnt, judged, published, facts)
    with lock.held(run_uri):
        provenance.begin_or_go_on(
            run_uri, FACTS, "training", task.identity(), {"shards": shards_uri}, lambda: _read_facts(run_uri)
        )
        if storage.exists(storage.join(run_uri, CHECKPOINT)):
            console.say("finished before: nothing is left to do")
        else:
            _fit(task)
    return read_losses(run_uri)


def _say_data(learnt: Part, judged: Part, validation: str) -> None:
    console.say(f"learning from {learnt.benchmark}: {', '.join(learnt.categories)}")
    if judged.categories:
        console.say(f"validation on {judged.benchmark}: {', '.join(judged.categories)}")
    if judged.benchmark != learnt.benchmark:
        console.say(
            "that is a target benchmark: the training sees what it is to be judged on, as the published one does"
        )
    if validation == PUBLISHED:
        console.say("which categories the authors take is not known: these are the first by name")


def evaluation_targets(shards_uri: str, auxiliary: str) -> list[str]:
    """The packed benchmarks that weights trained on `auxiliary` may be judged on.

    Those of the table name the auxiliary set that is theirs; weights trained on other data serve every other benchmark.
    """
    manifests = [each.manifest for each in shards.find_manifests(storage.normalise(shards_uri))]
    serves_all = auxiliary.casefold() not in (each.name.casefold() for each in benchmarks())
    return [
        manifest["benchmark"]
        for manifest in manifests
        if manifest["benchmark"].casefold() != auxiliary.casefold()
        and (serves_all or (manifest["auxiliary"] or auxiliary).casefold() == auxiliary.casefold())
    ]


def _check(method: str, run: str) -> None:
    if not traits_of(method).learns:
        raise UsageError(f"{method} learns nothing: there is nothing to train")
    provenance.check_folder(run, FACTS, "training")


def _on_hardware(settings: TrainingSettings) -> dict[str, Any]:
    """`device` and `threads`: what Ray's largest machine gives, where they were left open."""
    return {"device": engine.device(settings.device), "threads": settings.threads or _cores()}


def _cores() -> int:
    return max([1, *(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])])


def _read_facts(run: str) -> dict[str, Any]:
    uri = storage.join(run, FACTS)
    content = storage.read_json(uri)
    try:
        _ = (
            content["settings"].keys(),
            content["training"].keys(),
            content["validation"].keys(),
            content["versions"].keys(),
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise ZsadError(f"{uri}: not what `zsad train` wrote ({error!r}); remove the run, or restore it") from None
    return content


class _Trainer(DataParallelTrainer):
    def _create_default_callbacks(self) -> list[Any]:
        """Without the one that removes what a lost driver leaves: it asks Ray's dashboard for the driver, and where
        there is none, as on one machine, keeps the end waiting for 12 seconds. Our driver's job ends with it anyway."""
        callbacks = super()._create_default_callbacks()
        return [each for each in callbacks if type(each).__name__ != "PlacementGroupCleanerCallback"]


def _fit(task: Task) -> None:
    """Have Ray Train's worker do the task, and show what it tells."""
    messages = Queue(actor_options={"num_cpus": 0})
    screen = _Screen()
    settings = task.settings
    resources = {"CPU": min(settings.threads, _cores())} | ({"GPU": 1} if settings.device == "cuda" else {})

    def fit() -> None:
        try:
            # Ray Train keeps files of its own, of no use here; where the worker dies it starts it again.
            with tempfile.TemporaryDirectory(prefix="zsad-") as folder:
                trainer = _Trainer(
                    _work,
                    train_loop_config={"task": task, "messages": messages},
                    scaling_config=ScalingConfig(
                        num_workers=1, use_gpu=settings.device == "cuda", resources_per_worker=resources
                    ),
                    run_config=RunConfig(
                        name="train", storage_path=folder, failure_config=FailureConfig(max_failures=RESTARTS)
                    ),
                )
                trainer.fit()
        except Exception as error:  # noqa: BLE001, raised in the main thread
            screen.fail(error)

    # Not in the main thread: there Ray Train would take Ctrl-C for itself, and exit with status 0.
    thread = threading.Thread(target=fit, daemon=True)
    thread.start()
    console.say("starting the worker")
    try:
        for kind, value in _received(messages, thread):
            getattr(screen, kind)(value)
    except KeyboardInterrupt:
        # The worker ends when nobody listens, and the thread with it; under a thread that waits, Ray does not end well.
        messages.shutdown(force=True)
        thread.join(STOPPING)
        raise
    if screen.failure:
        raise screen.failure


def _received(messages: Queue, thread: threading.Thread) -> Iterator[tuple[str, Any]]:
    """The worker's messages until the thread ends."""
    while True:
        interrupt.check()
        alive = thread.is_alive()
        try:
            yield messages.get(timeout=0.5)
        except Empty:
            if not alive:
                return


class _Screen:
    """Shows what a worker tells (see Tell)."""

    def __init__(self) -> None:
        self.progress: console.Progress | None = None
        self.failure: Exception | None = None

    def say(self, line: str) -> None:
        if self.progress and self.progress.terminal and self.progress.done < self.progress.total:
            console.say("")  # leaves the line of the progress as it stands
        console.say(line)

    def expect(self, label_and_images: tuple[str, int]) -> None:
        self.progress = console.Progress(*label_and_images)

    def advance(self, images: int) -> None:
        if self.progress:
            self.progress.advance(images)

    def fail(self, error: Exception) -> None:
        self.failure = error


def _work(config: dict[str, Any]) -> None:
    """What Ray Train's worker runs. It tells of an error and ends well: Ray Train would try again what cannot
    succeed."""
    # Threads that wait must not spin on cores that prepare the next batch; read when torch is loaded, not before here.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    messages = config["messages"]
    try:
        carry_out(config["task"], lambda kind, value: messages.put((kind, value)))
        return
    except (ZsadError, OSError) as error:
        failure: Exception = ZsadError(str(error))
    except Exception as error:  # noqa: BLE001, the driver says it in one line
        failure = RuntimeError(traceback.format_exc())
        if type(error).__name__ == "OutOfMemoryError":
            failure = ZsadError("the GPU's memory does not suffice: take a smaller --batch-size, and a new RUN")
    with contextlib.suppress(ray.exceptions.RayError):  # nobody listens where the user has stopped it
        messages.put(("fail", failure))
