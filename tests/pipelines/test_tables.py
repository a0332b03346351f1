"""What readers see: percent with one decimal, dashes, marks and remarks; names of any kind stay in their cell."""

import io

import pandas as pd

from pipelines.tables import summary_table, table_csv, table_markdown
from tests.made_up_results import IMAGE, PIXEL, SETTINGS


def cells(metrics, value, low=None, high=None, **more):
    return {metric: {"value": value, "low": low, "high": high} | more for metric in metrics}


def groups(value, pixel=None):
    return {"image": cells(IMAGE, value), "image_plain": cells(IMAGE, value), "pixel": pixel}


def category(value, **more):
    result = {"images": 10, "anomalous": 4, "left_out": 0, "unlabelled": 0, "pixel_left_out": 0, "expected": None}
    return {**result, **groups(value), "defects": {}, **more}


def mean(value, categories, pixel=None):
    image = cells(IMAGE, value, categories=categories)
    return {"image": image, "image_plain": image, "pixel": pixel}


def results():
    pixel = cells(PIXEL, 0.98765432109876, 0.96, 0.9951)
    hole = {"images": 3} | groups(0.25, pixel)
    wood = category(
        0.5,
        pixel=pixel,
        left_out=2,
        pixel_left_out=1,
        expected={"normal": 6, "anomalous": 5},
        defects={"hole|": hole, "scratch": {"images": 1} | groups(None, cells(PIXEL, None))},
    )
    nut = category(None, pixel=cells(PIXEL, None), unlabelled=1)
    pixel_mean = cells(PIXEL, 0.98765432109876, 0.96, 0.9951, categories=1)
    return {
        "run": SETTINGS,
        "benchmarks": {
            "our | line": {"categories": {"wood": wood, "metal_nut *": nut}, "mean": mean(0.5, 1, pixel_mean)},
            "HeadCT": {"categories": {"head ct": category(1.0)}, "mean": mean(1.0, 1)},
        },
    }


def test_markdown():
    lines = table_markdown(results()).splitlines()
    assert (
        "| our \\| line | 20 | 50.0† | 50.0† | 50.0† | 50.0† | 50.0† | 50.0† |" + " 98.8 [96.0, 99.5]† |" * 5 in lines
    )
    assert "| HeadCT | 10 | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 |" + " – |" * 5 in lines
    assert "| metal_nut \\* | 10 |" + " – |" * 11 in lines
    assert "| wood | 10 | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 |" + " 98.8 [96.0, 99.5] |" * 5 in lines
    assert "| wood | hole\\| | 3 |" + " 25.0 |" * 6 + " 98.8 [96.0, 99.5] |" * 5 in lines
    assert "| wood | scratch | 1 |" + " – |" * 11 in lines
    assert sum(line.startswith("| Category | Defect | Images |") for line in lines) == 1
    assert "## our \\| line" in lines
    assert sum(line.startswith("†: mean over fewer categories") for line in lines) == 1
    assert (
        "- wood: 2 images could not be scored, left out; 1 image without a known mask, in no pixel metric; "
        "found 6 normal + 4 anomalous images, expected 6 normal + 5 anomalous." in lines
    )
    assert "- metal_nut \\*: 1 image without a label, in no image metric." in lines
    summary = next(line for line in lines if line.startswith("- our \\| line: "))
    assert "expected 6 normal + 5 anomalous (1 of 2 categories differ)." in summary


def test_nothing_to_remark_leaves_no_remark():
    complete = results()
    del complete["benchmarks"]["our | line"]
    markdown = table_markdown(complete)
    assert "†" not in markdown and not any(line.startswith("- ") for line in markdown.splitlines())


def test_csv_keeps_full_precision_and_says_which_means_are_over_fewer():
    table = pd.read_csv(io.StringIO(table_csv(results())), keep_default_na=False)
    assert table[["benchmark", "row", "category", "defect"]].values.tolist() == [
        ["our | line", "category", "wood", ""],
        ["our | line", "defect", "wood", "hole|"],
        ["our | line", "defect", "wood", "scratch"],
        ["our | line", "category", "metal_nut *", ""],
        ["our | line", "mean", "", ""],
        ["HeadCT", "category", "head ct", ""],
        ["HeadCT", "mean", "", ""],
    ]
    value = "0.98765432109876"
    assert table["pixel_aupro_200"].tolist() == [value, value, "", "", value, "", ""]
    assert table["pixel_aupro_200_high"].tolist() == ["0.9951", "0.9951", "", "", "0.9951", "", ""]
    assert table["images"].tolist() == [10, 3, 1, 10, 20, 10, 10]
    assert table["fewer"][4].startswith("image_auroc=1 ") and table["fewer"][6] == ""


def test_summary_is_aligned_and_shows_the_categories_of_a_single_benchmark():
    lines = summary_table(results()).splitlines()
    assert lines[1].endswith("AUPRO-200") and len({len(line) for line in lines[1:4]}) == 1
    assert "50.0†" in lines[2] and lines[3].startswith("HeadCT") and lines[3].endswith("–")
    single = results()
    del single["benchmarks"]["our | line"]
    assert [line.split("  ")[0] for line in summary_table(single).splitlines()[2:]] == ["head ct", "mean"]


def test_markdown_says_what_made_the_figures():
    trained = table_markdown(results())
    assert (
        "bayes-pfl on ViT-L-14-336:openai, 518 x 518 pixels, 10 samples, seed 0, fp32; "
        "weights: a_b.pth (trained on VisA), other.pth.\n" in trained
    )
    for change in ({"backbone": "ViT-B-16:random"}, {"checkpoints": {"random": {"file": "random"}}}):
        untrained = results() | {"run": SETTINGS | change}
        assert "Untrained weights: the figures mean nothing." in table_markdown(untrained)
    assert "Untrained" not in trained


def test_names_steer_no_terminal_and_break_no_row():
    hostile = results()
    hostile["benchmarks"]["a\r\x1b[31m\n日本"] = hostile["benchmarks"].pop("our | line")
    summary = summary_table(hostile)
    assert not any(c < " " for c in summary.replace("\n", ""))
    lines = summary.splitlines()
    assert lines[3].startswith("a  [31m 日本 ") and lines[3].endswith("98.8†") and lines[2].startswith("HeadCT ")
    assert len({len(line) + 2 * ("日本" in line) for line in lines[1:4]}) == 1
    assert "## a \\[31m 日本" in table_markdown(hostile).splitlines()
