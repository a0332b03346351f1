"""What can be drawn: every material or object with the defects that it can have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from zsad_core.benchmarks.drawn import boards, food, materials, medical, metals, objects, textures
from zsad_core.benchmarks.drawn.surfaces import Rng, Size, Surface


@dataclass(frozen=True)
class Material:
    """draw(rng, size) gives a normal sample, `size` what `size` gives; defects are names in DEFECTS.

    aspect: width over height. lit: an uneven lamp shines on it (scanners and endoscopes have none). grey: no colour.
    """

    draw: Callable[[Rng, Any], Surface]
    defects: tuple[str, ...]
    aspect: float = 1.0
    lit: bool = True
    grey: bool = False

    def size(self, side: int) -> Size:
        """The size of a picture of the material's aspect ratio and the area of a square of that side."""
        shape = (round(side / self.aspect**0.5), round(side * self.aspect**0.5))
        return side if shape == (side, side) else shape


_weave, _colon = textures.weave, medical.colon
_POLYPS = ("polyp", "flat_polyp")
_BOARD = ("absent_part", "moved_part", "scratch", "burn")

MATERIALS = {
    # MVTec-AD's fifteen, steel and biscuit
    "carpet": Material(materials.carpet, ("hole", "stain", "thread", "contamination")),
    "grid": Material(materials.grid, ("bent", "thread", "contamination")),
    "leather": Material(materials.leather, ("scratch", "hole", "stain")),
    "tile": Material(materials.tile, ("crack", "stain", "scratch")),
    "wood": Material(materials.wood, ("scratch", "hole", "stain")),
    "steel": Material(materials.steel, ("scratch", "stain", "contamination")),
    "biscuit": Material(materials.biscuit, ("missing_part", "crack", "thread")),
    "metal_nut": Material(materials.metal_nut, ("missing_part", "scratch", "stain")),
    "pill": Material(materials.pill, ("missing_part", "crack", "contamination")),
    "bottle": Material(objects.bottle, ("missing_part", "contamination", "crack")),
    "cable": Material(objects.cable, ("absent_part", "wrong_colour", "hole")),
    "capsule": Material(objects.capsule, ("crack", "missing_part", "scratch")),
    "hazelnut": Material(objects.hazelnut, ("crack", "hole", "scratch")),
    "screw": Material(objects.screw, ("rust", "missing_part", "scratch")),
    "toothbrush": Material(objects.toothbrush, ("absent_part", "contamination", "moved_part")),
    "transistor": Material(objects.transistor, ("moved_part", "absent_part", "crack")),
    "zipper": Material(objects.zipper, ("absent_part", "moved_part", "thread")),
    # VisA
    "candle": Material(food.candle, ("missing_part", "absent_part", "contamination", "dent")),
    "capsules": Material(food.capsules, ("wrong_colour", "stain", "missing_part")),
    "cashew": Material(food.cashew, ("burn", "hole", "missing_part", "scratch")),
    "chewinggum": Material(food.chewinggum, ("missing_part", "dent", "contamination", "scratch")),
    "fryum": Material(food.fryum, ("missing_part", "absent_part", "burn")),
    "macaroni1": Material(food.macaroni1, ("missing_part", "crack", "wrong_colour")),
    "macaroni2": Material(food.macaroni2, ("crack", "missing_part", "scratch")),
    "pcb1": Material(boards.pcb1, _BOARD),
    "pcb2": Material(boards.pcb2, _BOARD),
    "pcb3": Material(boards.pcb3, _BOARD),
    "pcb4": Material(boards.pcb4, _BOARD),
    "pipe_fryum": Material(food.pipe_fryum, ("missing_part", "burn", "scratch")),
    # BTAD, KolektorSDD2, RSDDs
    "cover": Material(metals.cover, ("dent", "scratch", "stain")),
    "plank": Material(metals.plank, ("scratch", "hole", "stain")),
    "bushing": Material(metals.bushing, ("scratch", "dent", "rust"), aspect=800 / 600),
    "commutator": Material(metals.commutator, ("scratch", "spall", "stain"), aspect=230 / 630),
    "rail": Material(metals.rail, ("spall", "crack"), aspect=160 / 1000, grey=True),
    "main_rail": Material(metals.main_rail, ("spall", "dent"), aspect=55 / 1250, grey=True),
    # DAGM's classes
    "dagm1": Material(metals.dagm_clouds, ("smudge", "scratch"), lit=False, grey=True),
    "dagm2": Material(metals.dagm_pebbles, ("scratch", "hole"), lit=False, grey=True),
    "dagm3": Material(metals.dagm_weave, ("bent", "smudge"), lit=False, grey=True),
    "dagm4": Material(metals.dagm_rain, ("spall", "scratch"), lit=False, grey=True),
    "dagm5": Material(metals.dagm_grit, ("scratch", "smudge"), lit=False, grey=True),
    "dagm7": Material(metals.dagm_hatched, ("bent", "spall"), lit=False, grey=True),
    "dagm8": Material(metals.dagm_waves, ("smudge", "bent"), lit=False, grey=True),
    # DTD-Synthetic
    "blotchy": Material(textures.blotchy, ("contamination", "scratch", "burn")),
    "fibrous": Material(textures.fibrous, ("hole", "thread", "stain")),
    "marbled2": Material(textures.marbled, ("crack", "stain", "contamination")),
    "matted1": Material(textures.matted, ("hole", "thread", "burn")),
    "mesh": Material(textures.mesh, ("bent", "contamination", "thread")),
    "perforated": Material(textures.perforated, ("rust", "scratch", "bent")),
    "stratified": Material(textures.stratified, ("hole", "scratch", "stain")),
    "woven1": Material(textures.wicker, ("hole", "thread", "burn")),
    "woven2": Material(partial(_weave, warp=(0.75, 0.62, 0.42)), ("hole", "stain", "contamination")),
    "woven3": Material(
        partial(_weave, threads=20, over=2, warp=(0.28, 0.36, 0.52), weft=(0.75, 0.74, 0.70), fibre=0.10),
        ("thread", "hole", "stain"),
    ),
    "woven4": Material(
        partial(_weave, threads=16, stripes=4, warp=(0.65, 0.20, 0.20), weft=(0.50, 0.25, 0.25)),
        ("burn", "thread", "hole"),
    ),
    "woven5": Material(
        partial(_weave, threads=9, over=2, step=2, weft=(0.55, 0.38, 0.22), gap=0.10),
        ("contamination", "hole", "bent"),
    ),
    # medical
    "head_ct": Material(medical.head_ct, ("haemorrhage", "subdural"), lit=False, grey=True),
    "brain_mri": Material(partial(medical.brain_mri, zoom=1.2), ("tumour", "cyst"), aspect=0.85, lit=False, grey=True),
    "br35h": Material(medical.brain_mri, ("tumour", "cyst"), lit=False, grey=True),
    "skin": Material(medical.skin, ("mole", "melanoma"), aspect=4 / 3, lit=False),
    "colon_db": Material(partial(_colon, folds=0.9), _POLYPS, aspect=574 / 500, lit=False),
    "clinic_db": Material(
        partial(_colon, wall=(0.86, 0.60, 0.44), deep=(0.34, 0.13, 0.07), folds=1.1, corner=0.18, veins=0.6),
        _POLYPS,
        aspect=384 / 288,
        lit=False,
    ),
    "endo": Material(
        partial(
            _colon, wall=(0.84, 0.42, 0.36), deep=(0.24, 0.05, 0.05), folds=0.8, corner=0.30, veins=0.9, panel=True
        ),
        _POLYPS,
        aspect=1280 / 1024,
        lit=False,
    ),
    "kvasir": Material(
        partial(
            _colon, wall=(0.90, 0.52, 0.40), deep=(0.42, 0.10, 0.08), folds=1.0, corner=0.34, veins=0.2, panel=True
        ),
        _POLYPS,
        aspect=622 / 529,
        lit=False,
    ),
}
