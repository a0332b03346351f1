"""The drawn data set: seeded, in MVTec-AD's layout, its masks lie where a defect changed the picture."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tests.drawn_source import draw_mvtec
from zsad_core.benchmarks.drawn import MATERIALS, draw_layers, draw_sample
from zsad_core.benchmarks.drawn.defects import DEFECTS
from zsad_core.benchmarks.layouts import Tree, list_samples
from zsad_core.benchmarks.table import own_benchmark

EVERY = [(category, defect) for category, material in MATERIALS.items() for defect in material.defects]


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def test_it_lies_on_disk_as_mvtec_does(tmp_path):
    draw_mvtec(str(tmp_path), ["wood", "biscuit"], normal=2, anomalous=4, size=40)
    files = sorted(contents(tmp_path))
    samples = list_samples(own_benchmark("drawn"), Tree(files, [], lambda path: b"")).samples
    assert {(each.category, each.label) for each in samples} == {(c, n) for c in ("wood", "biscuit") for n in (0, 1)}
    assert len(samples) == 12 and all((each.mask in files) == (each.label == 1) for each in samples)
    assert len(files) == 12 + 8
    assert Image.open(tmp_path / samples[0].key).size == (40, 40)


def test_the_seed_decides_and_nothing_else(tmp_path):
    for folder, categories, anomalous, seed in [
        ("a", ["wood"], 2, 1),
        ("b", ["pill", "wood"], 4, 1),
        ("c", ["wood"], 2, 2),
    ]:
        draw_mvtec(str(tmp_path / folder), categories, normal=2, anomalous=anomalous, size=40, seed=seed)
    a, b, c = (contents(tmp_path / folder) for folder in "abc")
    assert a.items() <= b.items()
    assert a.keys() == c.keys() and all(a[path] != c[path] for path in a)


@pytest.mark.parametrize("size", [32, 72])
@pytest.mark.parametrize("category", MATERIALS)
def test_masks_mark_a_small_part_of_a_picture_of_the_asked_size(category, size):
    aspect, largest = MATERIALS[category].aspect, 0.35 if category == "skin" else 0.25
    for defect in MATERIALS[category].defects:
        for number in range(2):
            pixels, mask = draw_sample(category, defect, number, size, 0)
            height, width = mask.shape
            assert pixels.shape == (height, width, 3) and pixels.dtype == np.uint8
            assert abs(height - size / aspect**0.5) <= 0.5 and abs(width - size * aspect**0.5) <= 0.5
            assert set(np.unique(mask)) == {0, 255} and (mask > 0).mean() < largest, defect


@pytest.mark.parametrize("category", MATERIALS)
def test_normal_samples_differ_and_show_something(category):
    first, no_mask = draw_sample(category, None, 0, 48, 0)
    second, _ = draw_sample(category, None, 1, 48, 0)
    assert not no_mask.any() and first.std() > 5 and (first != second).mean() > 0.2
    assert (first[..., 0] == first[..., 2]).all() == MATERIALS[category].grey


def test_every_material_has_several_defects_and_every_defect_a_material():
    assert all(len(set(material.defects)) >= 2 for material in MATERIALS.values())
    assert {defect for _, defect in EVERY} == set(DEFECTS)


@pytest.mark.parametrize("category", MATERIALS)
def test_without_its_mask_a_defective_surface_is_the_sound_one(category):
    for defect in MATERIALS[category].defects:
        rng = np.random.default_rng(3)
        surface = MATERIALS[category].draw(rng, MATERIALS[category].size(64))
        coverage = np.zeros(surface.region.shape)
        while not (coverage > 0.4).any():
            pixels, coverage = DEFECTS[defect](rng, surface)
        change = np.abs(pixels - surface.pixels).mean(2)
        near = ndimage.binary_dilation(coverage > 0.4, iterations=3)
        assert change[near].sum() > 0.95 * change.sum() > 0, defect


def test_several_defects_have_a_mask_each():
    pixels, masks = draw_layers("cashew", ["burn", "hole"], 0, 64, 0)
    sound, none = draw_layers("cashew", [], 0, 64, 0)
    assert pixels.shape == sound.shape == (64, 64, 3) and masks.shape == (2, 64, 64) and none.shape == (0, 64, 64)
    assert masks.any((1, 2)).all() and (masks[0] != masks[1]).any()


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_changes_the_surface_inside_its_mask_and_hardly_outside(defect):
    category = next(category for category, each in EVERY if each == defect)
    changed_inside, changed_outside = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        surface = MATERIALS[category].draw(rng, 96)
        pixels, coverage = DEFECTS[defect](rng, surface)
        change = np.abs(pixels - surface.pixels).mean(2)
        away = ~ndimage.binary_dilation(coverage > 0.05, iterations=6)
        changed_inside.append(change[coverage > 0.4].mean())
        changed_outside.append(change[away].mean())
    assert min(changed_inside) > 0.03 and max(changed_outside) < 0.003
