"""The `zsad` command in this process: what it lists, every wrong call gets a message, `validate` names all that is
bad."""

import importlib.metadata
import os
import shutil
import subprocess

import pytest

from tests.drawn_source import draw_mvtec
from tests.made_up_predictions import made_up_run


def test_lists(zsad):
    status, out, _ = zsad("ls", "benchmarks")
    assert status == 0 and "15 benchmarks, 16,042 test images" in out and "CVC-ColonDB" in out
    status, out, _ = zsad("ls", "methods")
    assert status == 0
    assert [line.partition(":")[0] for line in out.splitlines()] == [
        "bayes-pfl       learns",
        "clip-ensemble   learns nothing",
        "  --option value-attention 0",
        "cops            learns; the weights in the package take alpha 0.15, beta 0.4, pooling 3",
        "  --option alpha 0.26 (VisA 0.35)",
        "  --option beta 0.9 (VisA 1)",
        "  --option pooling 5 (VisA 3)",
        "local-contrast  learns nothing, has no backbone",
    ]
    status, out, _ = zsad("ls", "backbones")
    assert status == 0 and "ViT-L-14-336:openai" in out


def test_version_and_completion(zsad):
    assert zsad("--version")[:2] == (0, f"zsad {importlib.metadata.version('zsad')}\n")
    status, script, _ = zsad("--print-completion", "bash")
    assert status == 0 and "--false-alarms" in script
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "COMMAND"),
        (["evaluate", "a"], 2, "RUN"),
        (["pack", "HeadCTT", "a", "b"], 2, "HeadCTT: no benchmark of that name. Known: MVTec-AD, VisA"),
        (["pack", "a", "b"], 2, "write `zsad pack BENCHMARK SOURCE SHARDS`"),
        (["pack", "--layout", "mvtec", "a", "b"], 2, "needs both --layout and --name"),
        (["pack", "--layout", "mvtec", "--name", "x", "HeadCT", "a", "b"], 2, "write `zsad pack"),
        (["pack", "HeadCT", "nowhere", "b"], 1, "nowhere: no such directory"),
        (["validate", "."], 2, "raw images need their benchmark"),
        (["evaluate", "nowhere", "run"], 1, "no shards there; pack first"),
        (["evaluate", "nowhere", "run", "--actors", "0"], 2, "--actors 0: at least 1"),
        (["evaluate", "nowhere", "run", "--batch-size", "0"], 2, "--batch-size 0: at least 1"),
        (
            ["evaluate", "nowhere", "run", "--option", "a=x"],
            2,
            "--option a=x: write NAME=NUMBER; options of bayes-pfl: none",
        ),
        (
            ["evaluate", "nowhere", "run", "--method", "cops", "--option", "alpha=inf"],
            2,
            "--option alpha=inf: write NAME=NUMBER; options of cops: alpha 0.26 (VisA 0.35): ",
        ),
        (["evaluate", "nowhere", "run", "--precision", "int8"], 2, "invalid choice: 'int8'"),
        (["evaluate", "nowhere", "run", "--benchmarks", " ,"], 2, "--benchmarks: name at least one"),
        (["pack", "HeadCT", "a", "memory://b"], 2, "memory is not shared between processes"),
        (["pack", "--layout", "mvtec", "--name", "x", "--mask-threshold", "255", "a", "b"], 2, "from 0 to 254"),
        (["reduce", "nowhere"], 1, "nowhere: no run there"),
        (["reduce", "a", "b"], 2, "several runs are merged into another folder: give it with --out"),
        (["leaderboard", "nowhere", "--out", "b"], 1, "nowhere"),
        (["leaderboard", "nowhere"], 2, "--out"),
        (["pack", "all", "--overwrite", "nowhere", "b"], 1, "nowhere: no such directory"),
        (["leaderboard", "nowhere", "--out", "b", "elsewhere"], 1, "nowhere"),
        (["nothing"], 2, "invalid choice: 'nothing'"),
        (["pretrain", "weights.pt"], 2, "weights.pt: the name has to end with .safetensors"),
        (["pretrain", "a.safetensors", "--steps", "0"], 2, "--steps: at least 1 is needed"),
        (["pretrain", "a.safetensors", "--learning-rate", "nan"], 2, "--learning-rate: a number between 0 and 1"),
        (["pretrain", "a.safetensors", "--workers", "5"], 2, "--workers: a divisor of 24 is needed"),
        (["draw", "images", "VisAA"], 2, "VisAA: cannot be drawn. Known: MVTec-AD, VisA"),
    ],
)
def test_wrong_calls_get_a_message(zsad, tmp_path, monkeypatch, arguments, status, message):
    monkeypatch.chdir(tmp_path)
    returned, _, err = zsad(*arguments)
    assert returned == status and message in err and "Traceback" not in err
    assert os.listdir(tmp_path) == []


def test_validate_names_every_bad_file(zsad, tmp_path, without_ray):
    draw_mvtec(str(tmp_path / "images"), ["grid", "pill"], normal=4, anomalous=4, size=64)
    own = ("--layout", "mvtec", "--name", "drawn")
    assert zsad("pack", *own, tmp_path / "images", tmp_path / "shards", "--shard-size", "5")[0] == 0
    status, out, _ = zsad("validate", tmp_path / "shards")
    assert (status, out) == (0, f"{tmp_path}/shards: 16 images looked at, 0 problems\n")

    bad = shutil.copytree(tmp_path / "images", tmp_path / "bad")
    for name, content in (("grid/test/good/001.png", b""), ("pill/test/good/002.png", b"text")):
        (bad / name).write_bytes(content)
    status, out, _ = zsad("validate", bad, *own)
    assert status == 1
    assert out.splitlines() == [
        "grid/test/good/001.png: empty file",
        "pill/test/good/002.png: not an image (PNG, JPEG, JPEG2000, TIFF, BMP, WEBP, GIF, PPM are read)",
        f"{bad}: 16 images looked at, 2 problems",
    ]


def test_reduce_prints_the_table_again(zsad, tmp_path, without_ray):
    made_up_run(tmp_path)
    status, out, _ = zsad("reduce", tmp_path)
    assert status == 0 and out.rstrip().endswith(f"tables: {tmp_path}/metrics/table.md, table.csv, results.json")
    tables = {name: (tmp_path / "metrics" / name).read_bytes() for name in ("table.md", "table.csv", "results.json")}
    for name in tables:
        (tmp_path / "metrics" / name).unlink()
    assert zsad("reduce", tmp_path)[:2] == (0, out)
    assert {name: (tmp_path / "metrics" / name).read_bytes() for name in tables} == tables
