"""The drawn world: seeded, varied, its damage visible and where the mask says; its words and its lessons."""

import csv

import numpy as np
from PIL import Image

from zsad_core.benchmarks.drawn import captions, faults, forms, patterns, things, world
from zsad_core.benchmarks.drawn.auxiliary import draw_auxiliary
from zsad_core.benchmarks.drawn.catalogue import MATERIALS
from zsad_core.benchmarks.drawn.lessons import pairs


def test_a_category_is_the_same_every_time():
    name, draw = world.category(7).name, world.category(7).draw
    first = draw(np.random.default_rng(1), 48).pixels
    world.category.cache_clear()
    assert world.category(7).name == name
    np.testing.assert_array_equal(world.category(7).draw(np.random.default_rng(1), 48).pixels, first)


def test_samples_of_a_category_differ():
    first, second = (world.category(3).draw(np.random.default_rng(seed), 48).pixels for seed in (1, 2))
    assert np.abs(first - second).mean() > 0.001


def test_kinds_can_be_seen_and_change_nothing_far_from_their_mask():
    found: dict[str, int] = {}
    for number in range(40):
        rng = np.random.default_rng(number)
        surface = world.category(number).draw(rng, 64)
        assert surface.pixels.shape == (64, 64, 3) and np.isfinite(surface.pixels).all()
        for kind in world.kinds_for(surface):
            if damaged := world.damage(rng, surface, kind):
                pixels, mask = damaged
                change = np.abs(pixels - surface.pixels)
                assert change[mask].mean() >= world.VISIBLE
                assert change[~mask].mean() < change[mask].mean() / 4, kind
                found[kind] = found.get(kind, 0) + 1
    assert set(found) == set(world.WORLD_DEFECTS)
    assert sum(found.values()) > 300


def test_the_world_has_no_material_of_the_benchmarks():
    drawing = {getattr(material.draw, "func", material.draw).__module__ for material in MATERIALS.values()}
    assert len(drawing) >= 7
    for module in (world, things, patterns, forms, faults):
        used = {getattr(value, "__module__", None) for value in vars(module).values()}
        assert not used & drawing, module
    names = {world.category(number).name for number in range(300)}
    assert len(names) > 200 and not names & set(MATERIALS)


def test_some_kinds_of_the_benchmarks_are_not_taught():
    kinds = {kind for material in MATERIALS.values() for kind in material.defects}
    assert set(world.TAUGHT) < kinds
    assert kinds - set(world.WORLD_DEFECTS) == kinds - set(world.TAUGHT)


def test_every_kind_has_words():
    assert set(captions.KINDS) == set(world.WORLD_DEFECTS)


def test_pairs_are_seeded_and_differ_within_the_mask():
    first, second = ([next(drawn) for _ in range(6)] for drawn in (pairs(5, 64, ["cat"]), pairs(5, 64, ["cat"])))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.damaged, other.damaged)
        assert one.captions == other.captions and one.texts == other.texts
        assert one.flawless.shape == one.damaged.shape == (64, 64, 3) and one.mask.mean() >= 0.0007
        assert one.texts[0] != one.texts[1]
        assert (one.flawless == one.damaged).all(2).mean() > 0.5  # seen by the same camera


def test_the_auxiliary_set_has_masks_and_captions(tmp_path):
    draw_auxiliary(str(tmp_path), categories=3, normal=2, anomalous=4, size=48)
    with open(tmp_path / "captions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 6
    for row in rows:
        category, _, kind, name = row["image"].split("/")
        assert Image.open(tmp_path / row["image"]).size == (48, 48)
        assert category in row["caption"]
        mask = tmp_path / category / "ground_truth" / kind / name.replace(".png", "_mask.png")
        assert mask.exists() == (kind != "good")
        assert kind == "good" or np.asarray(Image.open(mask)).any()


def test_small_auxiliary_sets_still_have_many_kinds(tmp_path):
    """Kinds take turns from another one in each category: with few images each, most of them come up."""
    draw_auxiliary(str(tmp_path), categories=16, normal=1, anomalous=3, size=32)
    kinds = {path.name for path in tmp_path.glob("*/ground_truth/*")}
    assert len(kinds) >= 12 and len(kinds & set(world.TAUGHT)) >= 4
