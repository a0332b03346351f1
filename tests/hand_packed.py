"""Shards and their manifest of drawn images, written without the packing pipeline."""

import hashlib

from pipelines import shards, storage
from tests.pictures import encoded
from zsad_core.benchmarks.drawn import draw_sample
from zsad_core.benchmarks.drawn.catalogue import MATERIALS
from zsad_core.images import encode_mask


def rows_of(benchmark, category, normal, anomalous, size=48):
    """Rows of a shard: `normal` images of a material, then `anomalous` ones."""
    defects = MATERIALS[category].defects
    rows = []
    for number in range(normal + anomalous):
        defect = defects[number % len(defects)] if number >= normal else None
        pixels, mask = draw_sample(category, defect, number, size, seed=1)
        image = encoded(pixels)
        rows.append(
            {
                "key": f"{category}/{number}",
                "benchmark": benchmark,
                "category": category,
                "prompt": category,
                "split": "test",
                "defect": defect or "good",
                "label": int(defect is not None),
                "image": image,
                "mask": encode_mask(mask > 0) if defect else None,
                "height": mask.shape[0],
                "width": mask.shape[1],
                "sha256": hashlib.sha256(image).hexdigest(),
                "error": None,
                "mask_error": None,
            }
        )
    return rows


def write_packed(folder, benchmark, rows, *, levels=("image", "pixel"), shard_size=5, auxiliary=None):
    """Write `rows` as the packed benchmark `<folder>/<benchmark>`."""
    uri = storage.join(str(folder), benchmark)
    parts = [rows[start : start + shard_size] for start in range(0, len(rows), shard_size)]
    files = [
        shards.write_shard(storage.join(uri, shards.shard_name("test", index, len(parts))), part)
        for index, part in enumerate(parts)
    ]
    none = {"expected_normal": None, "expected_anomalous": None, "errors": 0, "mask_errors": 0}
    categories = {}
    for row in rows:
        counts = {"normal": 0, "anomalous": 0, "unlabelled": 0}
        facts = categories.setdefault(
            row["category"], {"prompt": row["prompt"], "small_defect": False, **counts, **none}
        )
        facts[{0: "normal", 1: "anomalous", None: "unlabelled"}[row["label"]]] += 1
    facts = {"levels": list(levels), "auxiliary": auxiliary, "mask_threshold": 128, "warnings": [], "complete": True}
    manifest = {"benchmark": benchmark, **facts, "files": files, "categories": categories}
    storage.write_json(storage.join(uri, shards.MANIFEST), manifest)
