"""What the fuzzer damages and who reads it: for each target small sound inputs, and the function that they go to."""

from __future__ import annotations

import copy
import functools
import hashlib
import io
import json
import os
import random
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipelines import counts, predictions, shards
from tests.pictures import encoded
from zsad_core import images, map_codec
from zsad_core.errors import ZsadError

SIDES = (16, 12)
KEYS = ("a/b c.png", "u\u0308 \u00fc\n", "-x", "k" * 300)
ODD_VALUES = [
    None, True, -1, 0, 1, 1.5, 10**30, float("nan"), "", ".", "..", "../x.parquet", "/etc/x.parquet", "a/b.parquet",
    "a\\b.parquet", "a\0b", "a\n.parquet", "\ud800", "x" * 5000, "memory://x.parquet", "a::b.parquet", [], {}, [[]], {"": None},
]  # fmt: skip


def sample_image(mode: str) -> Image.Image:
    width, height = SIDES
    values = np.random.default_rng(5).integers(0, 256, (height, width, 4), dtype=np.uint8)
    if mode == "F":
        return Image.fromarray((values[..., 0] / 255).astype(np.float32))
    if mode in ("I", "I;16"):
        return Image.fromarray(values[..., 0].astype(np.uint16 if mode == "I;16" else np.int32) * 257)
    return Image.fromarray(values[..., :3]).convert(mode)


@functools.cache
def image_seeds() -> list[bytes]:
    """Small images of every format, in the modes and with the blocks of data that it can have."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "about it"
    tiff = [("RGB", each) for each in ("raw", "tiff_deflate", "tiff_lzw", "jpeg", "packbits")]
    tiff += [("1", "group4"), *((mode, "tiff_deflate") for mode in ("F", "I", "I;16", "CMYK", "P", "RGBA", "LAB"))]
    kinds = [
        *(("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        ("PNG", "P", {"transparency": b"\x00\x80"}),
        ("PNG", "RGB", {"exif": exif, "icc_profile": b"no profile" * 9}),
        *(("JPEG", mode, {}) for mode in ("L", "RGB", "CMYK")),
        ("JPEG", "RGB", {"progressive": True, "exif": exif, "comment": "about it"}),
        *(("JPEG2000", mode, {}) for mode in ("L", "RGB", "RGBA", "I;16")),
        ("JPEG2000", "RGB", {"tile_size": (8, 8), "no_jp2": True}),
        *(("TIFF", mode, {"compression": compression}) for mode, compression in tiff),
        ("TIFF", "RGB", {"exif": exif, "big_tiff": True}),
        ("TIFF", "L", {"save_all": True, "append_images": [sample_image("L")] * 2}),
        *(("BMP", mode, {}) for mode in ("1", "L", "P", "RGB", "RGBA")),
        *(("WEBP", mode, {"lossless": lossless}) for mode in ("RGB", "RGBA") for lossless in (False, True)),
        ("WEBP", "RGBA", {"exif": exif, "save_all": True, "append_images": [sample_image("RGBA")] * 2}),
        ("GIF", "P", {}),
        ("GIF", "P", {"save_all": True, "append_images": [sample_image("L").convert("P")] * 2, "disposal": 3}),
        *(("PPM", mode, {}) for mode in ("1", "L", "RGB", "I;16", "F")),
    ]
    contents = [b"P3 2 1 255\n1 2 3 255 0 9\n", b"P1 2 2 1 0 0 1\n", b"P2 2 1 9\n0 9\n"]
    return contents + [encoded(sample_image(mode), kind, **options) for kind, mode, options in kinds]


def decode_images(content: bytes) -> None:
    assert images.decode_image(content).resize((14, 14)).mode == "RGB"


def decode_masks(content: bytes) -> None:
    assert images.mask_pixels(content, 14).shape == (14, 14)


def parquet_variants(table: pa.Table) -> list[bytes]:
    """A table as others write it too: with other pages, without checksums, which keep damage from the decoders."""
    contents = []
    for options in (
        {"compression": "zstd"},
        {"compression": "none", "use_dictionary": False},
        {"data_page_version": "2.0"},
    ):
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, row_group_size=3, **options)
        contents.append(sink.getvalue().to_pybytes())
    return contents


def shard_rows() -> list[dict]:
    rows = []
    for number, key in enumerate(KEYS):
        image = image_seeds()[number]
        names = ("key", "benchmark", "category", "prompt", "split", "defect")
        row = dict.fromkeys(shards.SHARD_SCHEMA.names) | dict.fromkeys(names, "text") | {"key": key, "image": image}
        rows.append(row | {"label": number % 2, "sha256": hashlib.sha256(image).hexdigest()})
    return rows


@functools.cache
def shard_seeds() -> list[bytes]:
    return parquet_variants(pa.Table.from_pylist(shard_rows(), schema=shards.SHARD_SCHEMA))


def parse_shard(content: bytes) -> None:
    shards.parse_shard("shard", content).to_pylist()


def prediction_table() -> pa.Table:
    rng = np.random.default_rng(2)
    rows = []
    for number, key in enumerate(KEYS):
        codes = rng.integers(0, 65536, (5, 7)).astype(np.uint16)
        rows.append(
            {
                **dict.fromkeys(("category", "defect", "prompt"), "text"),
                **dict.fromkeys(("score_text", "score_map", "score"), 0.5),
                "key": key,
                "label": number % 2,
                "sha256": "0" * 64,
                "anomaly_map": map_codec.encode(codes),
                "map_height": 5,
                "map_width": 7,
                "mask": map_codec.pack_mask(codes > 60000),
            }
        )
    return pa.Table.from_pylist(rows, schema=predictions.PREDICTION_SCHEMA)


@functools.cache
def prediction_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        predictions.write_predictions(f"{folder}/a.parquet", prediction_table(), "origin")
        return [*parquet_variants(prediction_table()), Path(folder, "a.parquet").read_bytes()]


def count_unit(folder: str) -> dict:
    files = {"images": f"{folder}/images.parquet", "counts": f"{folder}/counts.parquet"}
    return {"name": f"{folder}/a.parquet", "rows": len(KEYS), "categories": {"text": {}}} | files


def read_predictions(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        unit = count_unit(folder)
        Path(unit["name"]).write_bytes(content)
        predictions.read_predictions(unit["name"], ["key", "score"])
        counts.count_file(unit | {"origin": predictions.origin_of(unit["name"])})


@functools.cache
def count_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        unit = count_unit(folder)
        predictions.write_predictions(unit["name"], prediction_table(), "origin")
        counts.count_file(unit | {"origin": "origin"})
        tables = [pq.read_table(unit[name]) for name in ("images", "counts")]
        return [content for table in tables for content in parquet_variants(table)]


def read_counts(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        uri = f"{folder}/a.parquet"
        Path(uri).write_bytes(content)
        if zlib.crc32(content) % 2:
            counts.read_images(uri).to_pylist()
            counts.read_binned(uri, "text")
        else:
            list(counts.read_counts(uri, "text"))


@functools.cache
def map_seeds() -> list[bytes]:
    """Height, width and a blob or packed bits."""
    sides = struct.pack("<ii", 5, 7)
    codes = np.arange(35, dtype=np.uint16).reshape(5, 7)
    return [sides + map_codec.encode(codes), sides + map_codec.pack_mask(codes > 9)]


def read_maps(content: bytes) -> None:
    height, width = struct.unpack("<ii", content[:8].ljust(8, b"\0"))
    read = map_codec.decode if len(content) % 2 else map_codec.unpack_mask
    try:
        assert read(content[8:], height, width).shape == (height, width)
    except ValueError as error:  # as it promises; its callers add the file and the row
        raise ZsadError(str(error)) from None


@functools.cache
def manifest_seeds() -> list[bytes]:
    counted = {"prompt": "wood", "small_defect": False, "normal": 1, "anomalous": 1}
    manifest = {
        "benchmark": "drawn", "levels": ["image", "pixel"], "auxiliary": None, "mask_threshold": 128, "warnings": ["w"],
        "complete": True, "categories": {"wood": counted},
        "files": [{"name": shards.shard_name("test", i, 2), "rows": 3, "bytes": 9, "sha256": "0" * 64} for i in (0, 1)],
    }  # fmt: skip
    return [json.dumps(manifest).encode()]


def mutated_manifest(rng: random.Random) -> bytes:
    manifest = json.loads(manifest_seeds()[0])
    for _ in range(rng.randint(1, 3)):
        place = manifest
        while True:
            key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.8:
                place = place[key]
                continue
            break
        if isinstance(place, dict) and rng.random() < 0.3:
            place[str(rng.choice(ODD_VALUES))] = place.pop(key)
        else:
            place[key] = copy.deepcopy(rng.choice(ODD_VALUES))
    content = json.dumps(manifest).encode()
    return content if rng.random() < 0.9 else content.replace(b"[]", b"[" * 10**5)


def read_manifest(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, shards.MANIFEST).write_bytes(content)
        shard_set = shards.read_shard_set(folder)
        target = os.path.realpath(folder)
        for file in shard_set.manifest["files"]:
            assert os.path.dirname(os.path.normpath(shard_set.shard_uri(file))) == os.path.normpath(folder)
            uri = predictions.prediction_uri(target, shard_set.manifest["benchmark"], file["name"])
            assert os.path.normpath(uri).count("/") == target.count("/") + 3 and uri.startswith(
                f"{target}/predictions/"
            )
            assert file["rows"] >= 0
        json.dumps(shard_set.manifest, ensure_ascii=False).encode()


SIZES = {"vision_width": 64, "vision_layers": 4, "patch_size": 8, "grid": 2, "text_width": 64, "text_layers": 1,
         "embed_dim": 64}  # fmt: skip


@functools.cache
def tiny_model():
    """Bayes-PFL on a tiny backbone, and that one's state dict."""
    import torch

    from tests.golden import recipe
    from zsad_core.clip_loading import load_backbone
    from zsad_core.methods.bayes_pfl.model import BayesPFL

    torch.set_num_threads(1)
    state = {key: torch.from_numpy(value) for key, value in recipe.clip_state_dict(SIZES, seed=1).items()}
    with tempfile.TemporaryDirectory() as folder:
        torch.save(state, f"{folder}/clip.pt")
        return BayesPFL(load_backbone(f"{folder}/clip.pt", image_size=16, activation="gelu")), state


@functools.cache
def checkpoint_seeds() -> list[bytes]:
    from zsad_core.methods import weights
    from zsad_core.methods.bayes_pfl import checkpoint

    model, _ = tiny_model()
    with tempfile.TemporaryDirectory() as folder:
        own, released = f"{folder}/a.safetensors", f"{folder}/epoch_post_1_{1 + model.fused_image_score}.pth"
        weights.save(model, own, checkpoint.facts_of(model, "VisA", {}))
        checkpoint.save_released(model, released)
        return [Path(path).read_bytes() for path in (own, released)]


def load_checkpoint(content: bytes) -> None:
    from zsad_core.checkpoints import read_facts
    from zsad_core.methods import weights
    from zsad_core.methods.bayes_pfl import checkpoint

    model, _ = tiny_model()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/a{'.pth' if content[:2] == b'PK' else '.safetensors'}"
        Path(path).write_bytes(content)
        if facts := read_facts(path):
            weights.load(model, path, facts)
        else:
            checkpoint.load_released(model, path)


@functools.cache
def backbone_seeds() -> list[bytes]:
    """Of each kind of file one, with a vocabulary of a few words."""
    import safetensors.torch
    import torch

    state = tiny_model()[1] | {"token_embedding.weight": torch.zeros(9, 64)}
    plain, archive = io.BytesIO(), io.BytesIO()
    torch.save(state, plain)
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), archive)
    return [plain.getvalue(), archive.getvalue(), safetensors.torch.save(state)]


def load_backbone(content: bytes) -> None:
    from zsad_core.clip_loading import _clip_from_file

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/a{'.pt' if content[:2] == b'PK' else '.safetensors'}"
        Path(path).write_bytes(content)
        _clip_from_file(path)


# Name -> how often of 20, its seeds, what is done with an input.
TARGETS: dict[str, tuple[int, Callable[[], list[bytes]], Callable[[bytes], None]]] = {
    "images": (8, image_seeds, decode_images),
    "masks": (2, image_seeds, decode_masks),
    "shards": (2, shard_seeds, parse_shard),
    "predictions": (2, prediction_seeds, read_predictions),
    "counts": (2, count_seeds, read_counts),
    "maps": (1, map_seeds, read_maps),
    "manifests": (1, manifest_seeds, read_manifest),
    "checkpoints": (1, checkpoint_seeds, load_checkpoint),
    "backbones": (1, backbone_seeds, load_backbone),
}
