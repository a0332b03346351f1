"""Scores images with a method: batches, precision, device, compiling; smoothed maps as 16-bit codes (torch)."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from zsad_core.anomaly_map import codes_of, mean_of_highest, shrink, smooth
from zsad_core.checkpoints import read_facts
from zsad_core.errors import UsageError, ZsadError
from zsad_core.images import decode_image
from zsad_core.map_codec import LARGEST_CODE, dequantise
from zsad_core.methods import method_module, options_of, shipped_checkpoint
from zsad_core.methods.base import Prediction, option_values
from zsad_core.metrics.image import image_score_plain
from zsad_core.pixels import normalised
from zsad_core.settings import ScoringSettings
from zsad_core.tiling import OVERLAP, of_whole_image, tile_pixels, tiling_of
from zsad_core.weight_files import first_line

# What torch's allocator, oneDNN and cuBLAS say of it.
OUT_OF_MEMORY = ("can't allocate memory", "could not create a primitive", "CUBLAS_STATUS_ALLOC_FAILED")
LOW_PRECISION = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Scores(NamedTuple):
    """Of n images: `text` and `map` parts of the image score, and the plain `score` made of them, (n,) float64; `codes`
    (n, M, M) uint16, smoothed maps of the settings' map size; `score_std` and `codes_std`: their standard deviation
    over the prompt samples, None where there are no such, or nobody asked; `batch_size`: of the smallest batches that
    they were computed in, but for the last."""

    text: np.ndarray
    map: np.ndarray
    score: np.ndarray
    codes: np.ndarray
    score_std: np.ndarray | None
    codes_std: np.ndarray | None
    batch_size: int


class ImageScore(NamedTuple):
    """Of one image: the plain `score` in [0, 1], higher where it is more suspicious; the smoothed `anomaly_map` (H, W)
    float64 in [0, 1]; the standard deviation of both over the prompt samples, None where the method has no such."""

    score: float
    score_std: float | None
    anomaly_map: np.ndarray
    anomaly_map_std: np.ndarray | None


class Finished(NamedTuple):
    """What a batch's unsmoothed maps become on the device: `map`, `codes`, `score_std` and `codes_std` as in Scores;
    `extremes`: the lowest and highest code before they were cut to 16 bits."""

    map: Tensor
    codes: Tensor
    extremes: Tensor
    score_std: Tensor | None
    codes_std: Tensor | None


class _Batch(NamedTuple):
    """A batch on its way to the host, whose tensors are filled once `ready` has happened (None: they are)."""

    text: Tensor
    finished: Finished
    ready: torch.cuda.Event | None

    def put_into(self, scores: Scores, place: slice) -> None:
        """Wait, and copy. ValueError where a map has values outside [0, 1]."""
        if self.ready:
            self.ready.synchronize()
        lowest, highest = self.finished.extremes.tolist()
        if not 0 <= lowest <= highest <= LARGEST_CODE:
            raise ValueError(f"an anomaly map holds values outside [0, 1]: codes from {lowest:g} to {highest:g}")
        for name, values in {"text": self.text, **self.finished._asdict()}.items():
            if name != "extremes" and values is not None:
                getattr(scores, name)[place] = values.numpy()


def shipped_scorer(method: str = ScoringSettings.method) -> Scorer:
    """A method that learns with the backbone and the weights that come with this package, and with its uncertainty.

    Raises UsageError where the package brings none for the method.
    """
    checkpoint = shipped_checkpoint(method)
    if checkpoint is None:
        raise UsageError(f"{method}: no weights come with this package; give a Scorer the settings that name some")
    return Scorer(ScoringSettings(method=method, checkpoint=checkpoint, uncertainty=True))


class Scorer:
    """A method on its device. Batches are formed in the order given, so equal calls give equal bytes."""

    def __init__(self, settings: ScoringSettings):
        self.settings = settings = settings.on(gpu=torch.cuda.is_available())
        torch.set_num_threads(settings.threads)
        keep_freed_memory()
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # float32 is the reference
        module = method_module(settings.method)
        self.protocol = module.PROTOCOL
        facts = read_facts(settings.checkpoint)
        self._options_of_weights = facts["options"] if facts else {}
        self.default_options = self.options_for(None)
        self.method = module.build(settings.backbone, settings.checkpoint, settings.image_size, settings.samples).to(
            settings.device
        )
        self.method.keeps_samples = settings.uncertainty and settings.samples > 1
        self.image_size: int = self.method.image_size
        self.map_size: int = settings.map_size or self.image_size
        if self.map_size > self.image_size:
            raise UsageError(
                f"--map-size {self.map_size}: maps are not stored larger than the image, {self.image_size}"
            )
        if low := LOW_PRECISION.get(settings.precision):
            self.method.backbone.compute_in(low)
        if settings.compile:
            self.method.compile_kernels()

    def options_for(self, benchmark: str | None) -> dict[str, float]:
        """The method's options for a target; UsageError where the settings hold one that the method does not have."""
        options = options_of(self.settings.method)
        return option_values(options, self.settings.options, self._options_of_weights, benchmark)

    def score(
        self,
        pixels: np.ndarray,
        prompts: Sequence[str],
        sha256s: Sequence[str],
        small_defect: Sequence[bool],
        options: Mapping[str, float] | None = None,
    ) -> Scores:
        """Score uint8 pixels (n, S, S, 3); `prompts` are class names, `sha256s` of the images' encoded bytes.

        `small_defect` says which images belong to a category of small defects (another k in the map's score).
        `options`: as `options_for` gives them, None for those of no benchmark in particular.
        A value that is no number stays one in `text` or `map`; its map's codes are 0. Where memory does not suffice,
        batches are halved for the rest of this call. ZsadError where it does not suffice for one image, and where
        torch.compile was asked for and finds no compiler.
        """
        options = self.default_options if options is None else options
        count, size = len(pixels), self.map_size
        text, highest, codes = np.empty(count), np.empty(count), np.empty((count, size, size), np.uint16)
        scores = Scores(text, highest, text, codes, None, None, 0)
        if self.method.keeps_samples:
            scores = scores._replace(score_std=np.empty(count), codes_std=np.empty_like(codes))
        done, batch_size = 0, self.settings.batch_size
        under_way: list[tuple[_Batch, slice]] = []  # fetched when the next has begun, so that a GPU never waits
        while done < count:
            batch = slice(done, min(count, done + batch_size))
            given = pixels[batch], prompts[batch], sha256s[batch], small_defect[batch]
            try:
                begun = self._begin_batch(*given, options, batch_size)
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                if len(pixels[batch]) == 1:
                    raise ZsadError(
                        f"memory does not suffice for one image of {self.image_size} x {self.image_size} pixels: take "
                        f"fewer --actors or --samples, or a smaller --image-size ({str(error).splitlines()[0]})"
                    ) from None
                batch_size = len(pixels[batch]) // 2
            else:
                done = batch.stop
                if begun.finished.score_std is None:
                    scores = scores._replace(score_std=None, codes_std=None)
                under_way.append((begun, batch))
                if len(under_way) == 2:
                    before, place = under_way.pop(0)
                    before.put_into(scores, place)
        for last, place in under_way:
            last.put_into(scores, place)
        plain = image_score_plain(scores.text, scores.map, self.protocol.image_score)
        return scores._replace(score=plain, batch_size=batch_size)

    def score_image(self, content: bytes, prompt: str, tile: int | None = None, overlap: float = OVERLAP) -> ImageScore:
        """Score the encoded bytes of an image of a `prompt`, "metal nut"; in tiles of `tile` pixels where that is
        given.

        The same numbers as `zsad score` gives. Raises ImageError where the bytes are no image that can be used.
        """
        image = decode_image(content)
        tiling = tiling_of(image.height, image.width, tile, overlap, self.map_size)
        pixels, sha256 = tile_pixels(image, tiling, self.image_size), hashlib.sha256(content).hexdigest()
        count = tiling.count
        scores = self.score(pixels, [prompt] * count, [sha256] * count, [False] * count)
        of_tiles = {name: values for name, values in scores._asdict().items() if isinstance(values, np.ndarray)}
        found = of_whole_image(of_tiles, tiling, overlap)
        deviation = dequantise(found["codes_std"]) if "codes_std" in found else None
        return ImageScore(found["score"], found.get("score_std"), dequantise(found["codes"]), deviation)

    @torch.inference_mode()
    def _begin_batch(
        self,
        pixels: np.ndarray,
        prompts: Sequence[str],
        sha256s: Sequence[str],
        small_defect: Sequence[bool],
        options: Mapping[str, float],
        batch_size: int,
    ) -> _Batch:
        count = len(pixels)
        last = batch_size - count
        if self.settings.compile and last:  # kernels are made for one number of images: the last batch is filled up
            pixels = np.concatenate([pixels, pixels[-1:].repeat(last, axis=0)])
            prompts, sha256s = [*prompts, *[prompts[-1]] * last], [*sha256s, *[sha256s[-1]] * last]
        images = normalised(pixels, self.settings.device)
        noise = self.method.draw_noise(self.settings.seed, sha256s)
        with self.computing():
            prediction = self.method(images, prompts, noise, options)
        prediction = _each(prediction, lambda values: values[:count])
        finished = self.finish(prediction, small_defect)
        text = prediction.image_score_text.double().to("cpu", non_blocking=True)
        return _Batch(text, _each(finished, lambda values: values.to("cpu", non_blocking=True)), self._now())

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """In here the method computes in the precision of the settings, and torch.compile's troubles are told."""
        with contextlib.ExitStack() as around:
            if self.settings.precision in LOW_PRECISION:
                around.enter_context(_tf32())
            if self.settings.compile:
                around.enter_context(_compiling())
            yield

    def _now(self) -> torch.cuda.Event | None:
        """The moment when the device has done all that it was given; None: it has."""
        if self.settings.device == "cpu":
            return None
        event = torch.cuda.Event()
        event.record()
        return event

    def finish(self, prediction: Prediction, small_defect: Sequence[bool]) -> Finished:
        """What is kept of a batch's maps."""
        ks = [self.protocol.scaled_top_k(self.image_size, small) for small in small_defect]
        codes, extremes = codes_of(self._as_stored(prediction.anomaly_map))
        highest = mean_of_highest(prediction.anomaly_map, ks)
        if prediction.map_samples is None or prediction.text_samples is None:
            return Finished(highest, codes, extremes, None, None)
        shape = prediction.map_samples.shape[:2]
        maps = prediction.map_samples.flatten(0, 1)
        parts = mean_of_highest(maps, [k for k in ks for _ in range(shape[1])]).unflatten(0, shape)
        plain = image_score_plain(prediction.text_samples.double(), parts, self.protocol.image_score)
        codes_std, _ = codes_of(self._as_stored(maps).unflatten(0, shape).std(dim=1))
        return Finished(highest, codes, extremes, plain.std(dim=1), codes_std)

    def _as_stored(self, maps: Tensor) -> Tensor:
        """Unsmoothed (B, S, S) -> smoothed, of the stored maps' size, 0 where they are no numbers."""
        smoothed = smooth(maps, self.protocol.scaled_sigma(self.image_size)).nan_to_num(0.0)
        return shrink(smoothed, self.map_size)

    def facts(self) -> dict:
        """What made the predictions, by content: sizes, hashes of the weights, the protocol's values at this size.

        Asked of a float32 scorer, whatever scores later: ValueError where the weights are rounded.
        """
        if self.settings.precision in LOW_PRECISION:
            raise ValueError(
                f"the weights are rounded to {self.settings.precision}: ask a float32 scorer for their hash"
            )
        return {
            "image_size": self.image_size,
            "map_size": self.map_size,
            **self.method.weights_facts(),
            "image_score": self.protocol.image_score,
            "smoothing_sigma": self.protocol.scaled_sigma(self.image_size),
            "top_k": self.protocol.scaled_top_k(self.image_size, small_defect=False),
            "top_k_small_defect": self.protocol.scaled_top_k(self.image_size, small_defect=True),
            "working_bytes": self.method.working_bytes(),
            "parameter_bytes": sum(4 * parameter.numel() for parameter in self.method.parameters()),
        }


_Tensors = TypeVar("_Tensors", Prediction, Finished)


def _each(tensors: _Tensors, change: Callable[[Tensor], Tensor]) -> _Tensors:
    """With every tensor that is there changed."""
    return tensors._replace(**{name: change(each) for name, each in tensors._asdict().items() if each is not None})


@contextlib.contextmanager
def _tf32() -> Iterator[None]:
    """A GPU may keep 10 bits of what it multiplies in float32: finer than what low precision rounds to."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def _is_out_of_memory(error: Exception) -> bool:
    """Of a GPU or of the machine; torch has an exception of its own for the first alone."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in OUT_OF_MEMORY)


@contextlib.contextmanager
def _compiling() -> Iterator[None]:
    from torch._dynamo.exc import TorchDynamoException  # loads the compiler, for seconds

    try:
        yield
    except TorchDynamoException as error:
        raise ZsadError(f"torch.compile does not work here, leave out --compile: {first_line(error)}") from None


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for the next batch, for the rest of this process.

    By default it gives every large tensor back to the system, and the page faults of its successor take longer than an
    activation function does. Where there is no glibc, nothing changes.
    """
    with contextlib.suppress(OSError, AttributeError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(-4, 0)  # M_MMAP_MAX: nothing in mappings of its own, which are unmapped when it is freed
        set_option(-1, -1)  # M_TRIM_THRESHOLD: none
