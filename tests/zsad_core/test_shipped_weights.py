"""The weights in the package fit each other and detect what they never saw."""

import hashlib
import os

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from zsad_core import backbones
from zsad_core.benchmarks.drawn import draw_sample
from zsad_core.benchmarks.drawn.auxiliary import NAME
from zsad_core.checkpoints import read_facts
from zsad_core.clip_loading import load_backbone
from zsad_core.methods import METHODS, shipped_checkpoint
from zsad_core.scoring import Scorer
from zsad_core.settings import ScoringSettings, split_backbone

CHECKPOINTS = {method: shipped_checkpoint(method) for method, traits in METHODS.items() if traits.learns}


@pytest.mark.parametrize(("method", "stage"), [("bayes-pfl", 2), ("cops", 1)])
def test_they_were_made_for_each_other(method, stage):
    architecture, tag = split_backbone(ScoringSettings.backbone)
    facts = read_facts(CHECKPOINTS[method])
    assert (facts["method"], facts["auxiliary"], facts["stage"]) == (method, NAME, stage)
    assert facts["backbone_sha256"] == load_backbone(ScoringSettings.backbone).weights_sha256()
    assert facts["training"]["settings"]["backbone"] == architecture + tag


def test_they_are_small():
    files = [*CHECKPOINTS.values(), *backbones.tags("zsad-small").values()]
    assert len(files) == 3 and sum(map(os.path.getsize, files)) <= 16e6


@pytest.mark.parametrize("method", CHECKPOINTS)
def test_they_detect(method):
    """Materials that no training drew; the first two kinds it did, the others it did not."""
    scorer = Scorer(ScoringSettings(method=method, checkpoint=CHECKPOINTS[method], samples=3))
    image_aurocs, pixel_aurocs = [], []
    for material, kind in [("leather", "stain"), ("hazelnut", "hole"), ("carpet", "thread"), ("dagm1", "smudge")]:
        samples = [draw_sample(material, defect, number, 192, seed=5) for defect in (None, kind) for number in range(6)]
        pixels = np.stack([image for image, _ in samples])
        sha256s = [hashlib.sha256(image.tobytes()).hexdigest() for image in pixels]
        scores = scorer.score(pixels, [material] * 12, sha256s, [False] * 12)
        image_aurocs.append(roc_auc_score(np.repeat([0, 1], 6), scores.text))
        damaged = np.stack([mask for _, mask in samples]) > 0
        pixel_aurocs.append(roc_auc_score(damaged.ravel(), scores.codes.ravel()))
    assert min(image_aurocs) > 0.6 and np.mean(image_aurocs) > 0.85
    assert min(pixel_aurocs) > 0.9
