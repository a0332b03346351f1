"""`zsad pack`, `validate` and `ls` in this process: own data by a file, everything at once, what is printed."""

import pytest
from PIL import Image

from jobs import pack
from pipelines.shards import list_shard_sets
from zsad_core.benchmarks.table import OWN_KEYS, OWN_LAYOUTS, Category, benchmark_from_toml

pytestmark = pytest.mark.usefixtures("without_ray")


def draw(folder, *paths):
    """Tiny images, no two alike."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        draw.count = getattr(draw, "count", 0) + 1
        Image.new("RGB", (4, 5), (draw.count % 256, draw.count // 256, 7)).save(folder / path)


DESCRIPTION = """
name = "cookies"
layout = "yes-no"
[categories.any]
prompt = "chocolate cookie"
test_normal = 1
test_anomalous = 1
"""


def test_own_data_by_a_file(zsad, tmp_path):
    draw(tmp_path / "source", "no/a.png", "yes/b.png")
    (tmp_path / "cookies.toml").write_text("\ufeff" + DESCRIPTION.replace("\n", "\r\n"))
    status, out, err = zsad("pack", tmp_path / "cookies.toml", tmp_path / "source", tmp_path / "shards", "--strict")
    assert status == 0 and "warning" not in err
    assert out.startswith("cookies: 1 normal and 1 anomalous images; categories: 1, shards: 1 ")
    status, out, _ = zsad("validate", tmp_path / "source", "--benchmark", tmp_path / "cookies.toml")
    assert (status, out) == (0, f"{tmp_path}/source: 2 images looked at, 0 problems\n")
    (tmp_path / "source/no/a.png").unlink()
    draw(tmp_path / "source", "no/c.png", "no/d.png")
    status, out, _ = zsad("validate", tmp_path / "source", "--benchmark", tmp_path / "cookies.toml")
    assert status == 1
    assert out.splitlines()[0] == ".: any: expected 1 normal and 1 anomalous test images, found 2 and 1"


def test_the_worked_example(zsad):
    lines = pack.__doc__.splitlines()
    start, end = (
        next(n for n, line in enumerate(lines) if line.startswith(head)) for head in ("A description", "Layouts")
    )
    example = benchmark_from_toml("\n".join(lines[start + 1 : end]), "cookies.toml")
    assert example.category("dark_01") == Category("dark", "dark chocolate cookie", 31, 32, small_defect=True)
    assert {line.split()[0] for line in lines[end + 2 :]} == set(OWN_LAYOUTS)
    assert set(OWN_KEYS) <= set(pack.__doc__.replace("[categories.", "categories ").split())
    assert zsad("pack", "--help")[0] == 0


def test_files_that_describe_nothing(zsad, tmp_path):
    (tmp_path / "bad.toml").write_text('name = "cookies"\nlayout = "yes-no"\ncolour = 1\n')
    (tmp_path / "binary.TOML").write_bytes(b"\xff\xfe")
    for name, status, message in [
        ("bad.toml", 2, f"{tmp_path}/bad.toml: colour: unknown key. Known: name"),
        ("binary.TOML", 1, f"{tmp_path}/binary.TOML: not UTF-8 text"),
        ("none.toml", 1, f"{tmp_path}/none.toml: no such file"),
    ]:
        found, out, err = zsad("pack", tmp_path / name, tmp_path, tmp_path / "shards")
        assert (found, out) == (status, "") and err.startswith(f"zsad: {message}")
    options = ["pack", tmp_path / "bad.toml", "a", "b"]
    assert zsad(*options, "--variant", "all")[0] == 2 == zsad(*options, "--mask-threshold", "3")[0]


def test_equal_images_are_printed_and_do_no_harm(zsad, tmp_path):
    draw(tmp_path / "source", "no/a.png", "yes/b.png")
    (tmp_path / "source/no/c.png").write_bytes((tmp_path / "source/no/a.png").read_bytes())
    own = ["--layout", "yes-no", "--name", "cookies"]
    status, _, err = zsad("pack", *own, tmp_path / "source", tmp_path / "shards", "--strict")
    line = "1 of 3 files have the same bytes as another: no/a.png = no/c.png"
    assert status == 0 and f"warning: cookies: {line}" in err
    for arguments in ([tmp_path / "shards"], [tmp_path / "source", *own]):
        status, out, _ = zsad("validate", *arguments)
        assert status == 0
        assert out == f"remark: cookies: {line}\n{arguments[0]}: 3 images looked at, 0 problems\n"


def test_everything_at_once(zsad, tmp_path):
    sources = tmp_path / "sources"
    draw(sources / "br35h", "no/no0.jpg", "yes/y0.jpg")
    draw(sources / "Kvasir", "wrong/place.png")
    draw(sources / "CVC-ColonDB/data", "images/1.png", "masks/1.png")
    draw(sources / "cookies", "no/a.png")
    status, out, err = zsad("pack", "all", sources, tmp_path / "shards")
    assert status == 1
    assert [line.split(";")[0] for line in out.splitlines()] == [
        "Br35H: 1 normal and 1 anomalous images",
        "CVC-ColonDB: 0 normal and 1 anomalous images, 1 without a usable mask",
    ]
    assert "warning: Br35H: brain: expected 1500 normal and 1500 anomalous test images, found 1 and 1" in err
    assert (
        f"\nKvasir failed: {sources}/Kvasir: Kvasir: no images found there. Looked for folders images and masks" in err
    )
    absent = "MVTec-AD, VisA, BTAD, KSDD2, RSDD, DAGM, DTD-Synthetic, HeadCT, BrainMRI, ISIC, CVC-ClinicDB, Endo"
    assert err.splitlines()[-3:] == [
        "not called as a benchmark is, so not packed: cookies",
        f"not in {sources}: {absent}",
        "not packed: Kvasir",
    ]
    assert set(list_shard_sets(str(tmp_path / "shards"))[0]) == {"Br35H", "CVC-ColonDB"}

    status, _, err = zsad("pack", "all", sources, tmp_path / "shards")
    assert status == 1 and err.splitlines()[-1] == "not packed: Br35H, CVC-ColonDB, Kvasir"
    assert "Br35H: holds a finished pack" in err
    status, _, err = zsad("pack", "all", sources, tmp_path / "shards", "--overwrite", "--shard-size", "1")
    assert err.splitlines()[-1] == "not packed: Kvasir"
    assert len(list((tmp_path / "shards/Br35H").glob("*.parquet"))) == 2
    status, _, err = zsad("pack", "all", sources, tmp_path / "strict", "--strict")
    assert err.splitlines()[-1] == "not packed: Br35H, CVC-ColonDB, Kvasir" and not (tmp_path / "strict").exists()


def test_everything_at_once_that_is_there_twice_or_not_at_all(zsad, tmp_path):
    draw(tmp_path / "sources/Br35H", "no/no0.jpg", "yes/y0.jpg")
    draw(tmp_path / "sources/BR35H", "no/no0.jpg", "yes/y0.jpg")
    status, _, err = zsad("pack", "all", tmp_path / "sources", tmp_path / "shards")
    assert status == 1 and "BR35H and Br35H are the same benchmark; keep one" in err
    for folder, message in [("sources/Br35H", "no folder there is named as a benchmark"), ("no", "no such directory")]:
        status, _, err = zsad("pack", "all", tmp_path / folder, tmp_path / "shards")
        assert status == 1 and message in err
    assert zsad("pack", "all", tmp_path / "sources", tmp_path / "shards", "--variant", "all")[0] == 2


def test_options_that_go_with_raw_images_alone(zsad, tmp_path):
    for option in (["--variant", "all"], ["--mask-threshold", "0"]):
        status, out, err = zsad("validate", tmp_path, *option)
        assert (status, out) == (2, "") and "--variant and --mask-threshold are for raw images" in err
    draw(tmp_path / "source", "no/a.png", "yes/b.png")
    (tmp_path / "source/no/b.png").write_bytes(b"")
    status, out, _ = zsad("validate", tmp_path / "source", "--layout", "yes-no", "--name", "cookies")
    assert status == 1 and out.splitlines()[-1] == f"{tmp_path}/source: 3 images looked at, 1 problem"


def test_the_list_of_benchmarks(zsad):
    status, out, _ = zsad("ls", "benchmarks")
    rows = {line.split()[0]: line.split() for line in out.splitlines()}
    assert status == 0 and all(len(line) <= 100 for line in out.splitlines())
    assert rows["DAGM"] == ["DAGM", "industrial", "7", "1350", "1350", "image+pixel", "VisA", "dagm"]
    assert "BrainMRI: test lists bayes-pfl, all (--variant)" in out
    assert "KSDD2, RSDD, DAGM: the counts hold on these copies only." in out
