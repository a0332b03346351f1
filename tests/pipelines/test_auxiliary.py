"""Which categories are learnt from and validated on, which samples are left out, and what cannot be learnt from."""

import pytest

from pipelines.auxiliary import choose_validation, packed, read_samples
from tests.hand_packed import rows_of, write_packed
from zsad_core.errors import UsageError, ZsadError

NAMES = [f"part {number:02}" for number in range(12)]


def row(category, label, **others):
    """A row of a shard whose image nobody decodes."""
    made = {"benchmark": "x", "category": category, "prompt": category, "split": "test", "defect": "?"}
    made |= {"key": f"{category}/{label}", "label": label, "image": b"i", "mask": b"m" if label else None}
    return made | {"height": 1, "width": 1, "sha256": "s", "error": None, "mask_error": None} | others


def write_labels(folder, benchmark, labels, **options):
    """`labels`: of each category the labels of its images."""
    rows = [row(category, label) for category, each in labels.items() for label in each]
    write_packed(folder, benchmark, rows, **options)


@pytest.fixture
def shards(tmp_path):
    write_labels(tmp_path, "VisA", {name: [0, 1] for name in NAMES})
    write_labels(tmp_path, "MVTec-AD", {name: [0, 1] for name in ("wood", "bottle", "pill", "tile", "nut", "cable")})
    return str(tmp_path)


def test_about_a_fifth_is_held_out(shards):
    learnt, judged = choose_validation(shards, packed(shards, "visa"), "held-out")
    assert learnt.benchmark == judged.benchmark == "VisA"
    assert len(judged.categories) == 2 and sorted((*learnt.categories, *judged.categories)) == NAMES


def test_the_held_out_ones_hang_on_their_names(tmp_path):
    """In another order, and with another category that has one class only, they are the same."""
    for folder, names in (("a", NAMES[:5]), ("b", NAMES[4::-1])):
        write_labels(tmp_path / folder, "own", {name: [0, 1] for name in names} | {"zero": [0]})
    chosen = [choose_validation(*two, "held-out")[1].categories for two in (
        (uri, packed(uri, "own")) for uri in (str(tmp_path / "a"), str(tmp_path / "b"))
    )]  # fmt: skip
    assert chosen[0] == chosen[1] and len(chosen[0]) == 1 and "zero" not in chosen[0]


def test_the_published_rule_takes_five_of_a_target(shards):
    learnt, judged = choose_validation(shards, packed(shards, "VisA"), "published")
    assert (judged.benchmark, judged.categories) == ("MVTec-AD", ("bottle", "cable", "nut", "pill", "tile"))
    assert sorted(learnt.categories) == NAMES
    learnt, judged = choose_validation(shards, packed(shards, "MVTec-AD"), "published")
    assert (judged.benchmark, judged.categories) == ("VisA", tuple(NAMES[:5]))


def test_categories_may_be_named(shards):
    learnt, judged = choose_validation(shards, packed(shards, "VisA"), "mvtec-ad:wood, cable")
    assert (judged.benchmark, judged.categories, len(learnt.categories)) == ("MVTec-AD", ("wood", "cable"), 12)
    learnt, judged = choose_validation(shards, packed(shards, "VisA"), "VisA:part 03")
    assert judged.categories == ("part 03",) and "part 03" not in learnt.categories


@pytest.mark.parametrize(
    ("validation", "error", "message"),
    [
        ("MVTec-AD:glass", UsageError, "MVTec-AD has no category glass; it has bottle, cable"),
        ("BTAD:01", UsageError, "BTAD: not one of the benchmarks packed in"),
        ("nothing", UsageError, "--validation nothing: held-out, published, or a packed benchmark with"),
        ("MVTec-AD:", UsageError, "--validation MVTec-AD:: held-out"),
        ("MVTec-AD:,", ZsadError, "MVTec-AD: validation needs normal and anomalous images, which lack in all"),
    ],
)
def test_wrong_validation(shards, validation, error, message):
    with pytest.raises(error, match=message):
        choose_validation(shards, packed(shards, "VisA"), validation)


def test_what_cannot_be_learnt_from(tmp_path):
    uri = str(tmp_path)
    write_labels(tmp_path, "labels", {"a": [0, 1]}, levels=["image"])
    write_labels(tmp_path, "one", {"a": [0, 1]})
    write_labels(tmp_path, "anomalous", {"a": [1], "b": [1]})
    with pytest.raises(UsageError, match="labels has no masks"):
        packed(uri, "labels")
    with pytest.raises(UsageError, match="VisA: not one of the benchmarks packed in .* \\(anomalous, labels, one\\)"):
        packed(uri, "VisA")
    for name in ("one", "anomalous"):
        with pytest.raises(ZsadError, match=f"{name}: too few categories to hold one out"):
            choose_validation(uri, packed(uri, name), "held-out")
    with pytest.raises(ZsadError, match="needs normal and anomalous images, which lack in b"):
        choose_validation(uri, packed(uri, "one"), "anomalous:b")


def test_what_cannot_be_used_is_left_out_and_counted(tmp_path):
    rows = [
        row("a", 0, key="normal"),
        row("a", 1, key="anomalous"),
        row("a", 1, key="no mask", mask=None, mask_error="truncated"),
        row("a", 0, key="normal, mask broken", mask_error="truncated"),
        row("a", None, key="unknown", mask=None),
        row("a", 0, key="broken", image=None, sha256=None, error="empty file"),
        row("a", 1, key="broken too", image=None, sha256=None, error="empty file"),
        row("b", 1, key="elsewhere"),
    ]
    write_packed(tmp_path, "own", rows, shard_size=3)
    part = packed(str(tmp_path), "own")
    samples, lines = read_samples(part)
    assert [each.key for each in samples] == ["normal", "anomalous", "normal, mask broken", "elsewhere"]
    assert lines == [
        "own: 4 images are left out (1 anomalous without a mask that can be used, 2 broken, 1 without a label)"
    ]
    assert [each.key for each in read_samples(type(part)(part.shard_set, ("b",)))[0]] == ["elsewhere"]


def test_samples_are_as_packed(tmp_path):
    rows = rows_of("own", "pill", 2, 2)
    write_packed(tmp_path, "own", rows)
    samples, lines = read_samples(packed(str(tmp_path), "own"))
    assert lines == [] and [each._asdict() for each in samples] == [
        {name: made[name] for name in ("key", "category", "prompt", "label", "image", "mask", "sha256")}
        for made in rows
    ]
