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
from zsad_core.clip import load_backbone
from zsad_core.methods import shipped_checkpoint
from zsad_core.scoring import Scorer
from zsad_core.settings import ScoringSettings, split_backbone

CHECKPOINT = shipped_checkpoint("bayes-pfl")


def test_they_were_made_for_each_other():
    architecture, tag = split_backbone(ScoringSettings.backbone)
    facts = read_facts(CHECKPOINT)
    assert (facts["method"], facts["auxiliary"], facts["stage"]) == ("bayes-pfl", NAME, 2)
    assert facts["backbone_sha256"] == load_backbone(ScoringSettings.backbone).weights_sha256()
    assert facts["training"]["settings"]["backbone"] == architecture + tag


def test_they_are_small():
    files = [CHECKPOINT, *backbones.tags("zsad-small").values()]
    assert len(files) == 2 and sum(map(os.path.getsize, files)) <= 16e6


@pytest.mark.parametrize(
    "material, kind", [("leather", "stain"), ("hazelnut", "hole"), ("carpet", "thread"), ("dagm1", "smudge")]
)
def test_they_detect(material, kind):
    """Materials that no training drew; the first two kinds it did, the others it did not."""
    samples = [draw_sample(material, defect, number, 192, seed=5) for defect in (None, kind) for number in range(6)]
    pixels = np.stack([image for image, _ in samples])
    sha256s = [hashlib.sha256(image.tobytes()).hexdigest() for image in pixels]
    scores = Scorer(ScoringSettings(checkpoint=CHECKPOINT, samples=3)).score(
        pixels, [material] * 12, sha256s, [False] * 12
    )
    assert roc_auc_score(np.repeat([0, 1], 6), (scores.text + scores.map) / 2) > 0.7
    damaged = np.stack([mask for _, mask in samples]) > 0
    assert roc_auc_score(damaged.ravel(), scores.codes.ravel()) > 0.8
