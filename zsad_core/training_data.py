"""Samples to batches: decoded, changed by chance and resized in threads, one batch ahead of the model, order fixed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from PIL import Image

from zsad_core.augmentation import mosaic
from zsad_core.errors import ZsadError
from zsad_core.images import ImageError, decode_image, decode_mask
from zsad_core.methods.base import Recipe
from zsad_core.noise import keyed_generator

Array = np.ndarray


class Sample(NamedTuple):
    """A labelled image in its encoded bytes. mask: 1-bit PNG, None where nothing is anomalous. sha256: of the image."""

    key: str
    category: str
    prompt: str
    label: int
    image: bytes
    mask: bytes | None
    sha256: str


class Prepared(NamedTuple):
    """A sample at the model's size: pixels uint8 (S, S, 3), mask bool (S, S)."""

    sample: Sample
    label: int
    pixels: Array
    mask: Array


class Preparation:
    """Makes samples ready: as they are for validation, or as a recipe changes them for training."""

    def __init__(self, samples: Sequence[Sample], image_size: int, recipe: Recipe):
        self.image_size, self.recipe = image_size, recipe
        self.anomalous: dict[str, list[Sample]] = defaultdict(list)
        for sample in samples:
            if sample.label:
                self.anomalous[sample.category].append(sample)

    def plain(self, sample: Sample) -> Prepared:
        """Raises ZsadError where the sample cannot be decoded."""
        return self._at_size(sample, sample.label, *_decoded(sample))

    def changed(self, sample: Sample, key: tuple[str | int, ...]) -> Prepared:
        """As the recipe has it, by chances that `key` and the sample's own determine. Raises as `plain`."""
        generator = keyed_generator(*key, sample.key)
        label, others = sample.label, self.anomalous[sample.category]
        if others and generator.random() < self.recipe.mosaic:
            label = 1
            chosen = generator.choice(len(others), 4, replace=len(others) < 4)
            pixels, mask = mosaic([_decoded(others[place]) for place in chosen])
        else:
            pixels, mask = _decoded(sample)
        if self.recipe.augment:
            pixels, mask = self.recipe.augment(pixels, mask, generator)
        return self._at_size(sample, label, pixels, mask)

    def _at_size(self, sample: Sample, label: int, pixels: Array, mask: Array) -> Prepared:
        size = (self.image_size, self.image_size)
        resized = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        grey = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
        return Prepared(sample, label, np.asarray(resized), np.asarray(grey) > 127)


def _decoded(sample: Sample) -> tuple[Array, Array]:
    try:
        pixels = np.asarray(decode_image(sample.image))
        mask = np.zeros(pixels.shape[:2], bool) if sample.mask is None else decode_mask(sample.mask, 127)
    except ImageError as error:
        raise ZsadError(f"{sample.key}: {error}; pack this benchmark again") from None
    return pixels, mask


def batches(
    samples: Sequence[Sample], prepare: Callable[[Sample], Prepared], batch_size: int, threads: int
) -> Iterator[list[Prepared]]:
    """`prepare(sample)` of all samples in order, in batches of at most `batch_size`.

    The next batch is prepared in threads while the caller works on one; no more than two are held.
    """
    starts = range(0, len(samples), batch_size)
    with ThreadPoolExecutor(threads) as pool:
        pending = None
        for start in starts:
            following = [pool.submit(prepare, sample) for sample in samples[start : start + batch_size]]
            if pending:
                yield [each.result() for each in pending]
            pending = following
        if pending:
            yield [each.result() for each in pending]
