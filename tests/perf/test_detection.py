"""The arithmetic of perf/detection.py on made-up figures, kinds that layouts do not say, and figures of a made-up
run."""

import math
import os

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from perf.detection import Figures, RecordedDrawing, figures, mean_over_benchmarks, table_by_kind, table_by_weights
from perf.reduction import aupro_by_sorting
from tests.made_up_predictions import sample, write_run
from zsad_core.benchmarks.drawn.catalogue import MATERIALS
from zsad_core.benchmarks.drawn.miniatures import MINIATURES
from zsad_core.benchmarks.layouts import Tree, list_samples
from zsad_core.benchmarks.table import benchmark
from zsad_core.map_codec import decode, unpack_mask

NAN = math.nan
ROWS = [
    Figures("A", "wood", "hole", 0.9, 0.8, 0.5),
    Figures("A", "wood", "stain", 0.7, 0.6, 0.3),
    Figures("A", "wood", "burn", 0.2, 0.1, 0.0),
    Figures("A", "pill", "hole", 0.4, 0.5, 0.9),
    Figures("B", "head", "tumour", 0.6, NAN, NAN),
    Figures("C", "skin", "hole", NAN, 0.25, 0.15),
]
HALVED = [row._replace(image_auroc=row.image_auroc / 2) for row in ROWS]


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_means_are_of_kinds_then_categories_then_benchmarks():
    seen = [row for row in ROWS if row.kind in ("hole", "stain")]
    assert mean_over_benchmarks(seen, "image_auroc") == (pytest.approx(((0.9 + 0.7) / 2 + 0.4) / 2), 1)
    pixel = [((0.8 + 0.6) / 2 + 0.5) / 2, 0.25]
    assert mean_over_benchmarks(seen, "pixel_auroc") == (pytest.approx(sum(pixel) / 2), 2)
    assert math.isnan(mean_over_benchmarks([], "aupro")[0]) and mean_over_benchmarks([], "aupro")[1] == 0


def test_table_by_weights():
    head, _, first, second, mean, last = cells(table_by_weights({"a": ROWS, "b": HALVED, "random": ROWS}, ["a", "b"]))
    assert head[1] == "seen kinds: image AUROC (1)" and head[2] == "seen kinds: pixel AUROC (2)"
    assert head[4] == "unseen kinds: image AUROC (2)" and head[6] == "unseen kinds: AUPRO (1)"
    # unseen: burn on wood, tumour in heads
    assert first == ["a", "0.600", "0.425", "0.400", "0.400", "0.100", "0.000"]
    assert second[1] == "0.300" and mean[0] == "mean of these 2" and mean[1:3] == ["0.450", "0.425"]
    assert last == ["random", *first[1:]]


def test_table_by_kind():
    _, _, *lines = cells(table_by_kind(ROWS, HALVED))
    assert [line[:3] for line in lines] == [
        ["burn", "unseen", "1"], ["tumour", "unseen", "1"], ["hole", "seen", "3"], ["stain", "seen", "1"]
    ]  # fmt: skip
    values = f"{(0.9 + 0.4) / 2:.3f}", f"{(0.8 + 0.5 + 0.25) / 3:.3f}", f"{(0.5 + 0.9 + 0.15) / 3:.3f}"
    assert lines[2][3:] == [*values, f"{(0.9 + 0.4) / 4:.3f}", *values[1:]]
    assert lines[1][3:] == ["0.600", "–", "–", "0.300", "–", "–"]


def test_figures_of_a_run(tmp_path):
    """Kinds of the run itself, or (MVTec-AD's even rows) those that the drawing noted; several at once are left out."""
    rng = np.random.default_rng(3)
    rows = [sample(rng, f"{category}/{number}", category, number % 3 and 1) for category in ("nut", "pipe")
            for number in range(24)]  # fmt: skip
    rows[1]["defect"] = "combined"
    plain = [sample(rng, f"head/{number}", "head", number % 2, mask=False) for number in range(12)]
    write_run(
        tmp_path,
        {
            "MVTec-AD": (["image", "pixel"], {"nut": (8, 16), "pipe": (8, 16)}, rows),
            "HeadCT": (["image"], {"head": (6, 6)}, plain),
        },
    )
    noted = {row["key"]: "bent" for row in rows[::2] if row["label"]}
    found = {each[:3]: each[3:] for each in figures(str(tmp_path), {"MVTec-AD": noted, "HeadCT": {}})}

    expected = {}
    for name, of_benchmark in (("MVTec-AD", rows), ("HeadCT", plain)):
        for category in dict.fromkeys(row["category"] for row in of_benchmark):
            whole = [row for row in of_benchmark if row["category"] == category]
            text, highest = (np.array([row[part] for row in whole]) for part in ("score_text", "score_map"))
            if name == "MVTec-AD":
                text, highest = ((part - part.min()) / np.ptp(part) for part in (text, highest))
            score = text + highest if name == "MVTec-AD" else text
            kinds = [None if not row["label"] else noted.get(row["key"], row["defect"]) for row in whole]
            for kind in set(kinds) - {None, "combined"}:
                chosen = [number for number, each in enumerate(kinds) if each in (None, kind)]
                values = [roc_auc_score([kinds[number] is not None for number in chosen], score[chosen])]
                if name == "MVTec-AD":
                    shape = whole[0]["map_height"], whole[0]["map_width"]
                    codes = np.stack([decode(whole[number]["anomaly_map"], *shape) for number in chosen])
                    masks = np.stack([unpack_mask(whole[number]["mask"], *shape) for number in chosen])
                    values += [roc_auc_score(masks.ravel(), codes.ravel()), aupro_by_sorting(codes, masks)]
                expected[name, category, kind] = tuple([*values, NAN, NAN][:3])
    assert len(found) > 6 and found.keys() == expected.keys()
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, abs=1e-9, nan_ok=True)


def test_images_that_were_not_scored_stop_it(tmp_path):
    rows = [sample(np.random.default_rng(0), "head/0", "head", 1, error="truncated")]
    write_run(tmp_path, {"HeadCT": (["image"], {"head": (0, 1)}, rows)})
    with pytest.raises(SystemExit, match="HeadCT has images that were not scored"):
        list(figures(str(tmp_path), {"HeadCT": {}}))


DRAWN = {
    "BTAD": ["cover", "plank", "bushing"],
    "KSDD2": ["commutator"],
    "DAGM": [name for name in MATERIALS if name.startswith("dagm")],
    "HeadCT": ["head_ct"],
    "Kvasir": ["kvasir"],
    "RSDD": ["rail", "main_rail"],
}


@pytest.mark.parametrize("name", DRAWN)
def test_kinds_are_noted_by_the_keys_of_packing(name, tmp_path):
    drawing = RecordedDrawing(benchmark(name), str(tmp_path), normal=1, anomalous=4, size=48, seed=0)
    MINIATURES[name].draw(drawing)
    files = [os.path.relpath(os.path.join(place, name), tmp_path) for place, _, names in os.walk(tmp_path) for name in names]  # fmt: skip
    tree = Tree(sorted(files), [], lambda path: (tmp_path / path).read_bytes())
    anomalous = [each.key for each in list_samples(drawing.facts, tree).samples if each.label == 1]
    assert sorted(anomalous) == sorted(drawing.kinds)
    drawn = [MATERIALS[material].defects for material in DRAWN[name]]
    assert sorted(drawing.kinds.values()) == sorted(kinds[turn % len(kinds)] for kinds in drawn for turn in range(4))
