"""The page as a file: nothing but itself is needed or allowed, data stays data, and equal data gives equal bytes."""

import base64
import copy
import hashlib
import json
import math
import random
import re
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.leaderboard.page import leaderboard_page
from tests.pipelines.pages import FORBIDDEN, HOSTILE, Page, in_javascript


def leaderboard(name="run"):
    figure = {"value": 0.9, "low": 0.8, "high": 0.95}
    mean = {**figure, "categories": 1, "spread": None, "runs": 1, "published": None}
    category = {
        "images": 4,
        "anomalous": 2,
        "image": {"auroc": figure},
        "image_plain": None,
        "pixel": None,
        "defects": {},
    }
    cell = {
        "images": 4,
        "left_out": 0,
        "unlabelled": 0,
        "pixel_left_out": 0,
        "remarks": [name],
        "mean": {"image": {"auroc": mean}, "image_plain": None, "pixel": None},
        "categories": {name: category},
    }
    entry = {"kind": "run", "method": name, "made_by": name, "untrained": False, "seeds": [0]}
    return {
        "entries": [{"name": name, **entry, "runs": ["/home/somebody/runs/first"]}],
        "columns": [{"group": "image", "metric": "auroc", "title": "AUROC"}],
        "benchmarks": [
            {"name": name, "domain": name, "levels": ["image"], "expected_images": None, "cells": {name: cell}}
        ],
        "comparisons": [],
    }


DETAILS = {"curves": {}, "maps": {}, "legend": "data:,"}


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_outside_change_no_markup_and_come_back_as_they_were(name):
    plain = Page(leaderboard_page(leaderboard(), DETAILS))
    html = leaderboard_page(leaderboard(name), {**DETAILS, "curves": {name: {name: {}}}})
    page = Page(html)
    assert page.tags == plain.tags
    assert page.data("leaderboard-data")["entries"][0]["name"] == name
    assert page.data("details-data")["curves"] == {name: {name: {}}}
    html.encode("utf-8")


@given(st.text())
def test_any_text_comes_back(name):
    page = Page(leaderboard_page(leaderboard(name), DETAILS))
    assert page.data("leaderboard-data")["benchmarks"][0]["cells"][name]["remarks"] == [name]


def test_nothing_is_fetched_and_the_policy_allows_this_style_and_script_alone():
    page = Page(leaderboard_page(leaderboard(), DETAILS))
    rules = page.rules()
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert not re.search("unsafe|http", str(rules))

    def allowed(text):
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    texts = {tag if not attributes else attributes["id"]: text for tag, attributes, text in page.texts}
    assert rules["style-src"] == allowed(texts["style"]) and rules["script-src"] == allowed(texts["script"])
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    assert not re.search(r"url\(|@import", texts["style"])


def test_equal_data_gives_equal_bytes_and_is_left_as_it_was():
    board = leaderboard()
    before = copy.deepcopy(board)
    assert leaderboard_page(board, DETAILS) == leaderboard_page(copy.deepcopy(board), DETAILS)
    assert board == before


def test_paths_of_runs_stay_off_the_page():
    assert "somebody" not in leaderboard_page(leaderboard(), DETAILS)


def test_what_json_cannot_say_is_refused():
    board = leaderboard()
    board["benchmarks"][0]["cells"]["run"]["mean"]["image"]["auroc"]["value"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        leaderboard_page(board, DETAILS)


def assets(ending):
    folder = resources.files("pipelines.leaderboard") / "page_assets"
    return {each.name: each.read_text() for each in folder.iterdir() if each.name.endswith(ending)}


def test_the_programme_never_turns_text_into_markup_or_code_and_never_asks_the_network():
    scripts = assets(".js")
    assert scripts
    for name, text in scripts.items():
        assert not re.search(FORBIDDEN, text), name
        assert f'"{name}"' in (resources.files("pipelines.leaderboard") / "page.py").read_text(), (
            f"{name} is not on the page"
        )


def luminance(colour):
    share = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in share]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(one, other):
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [":root {", ':root[data-theme="dark"] {'])
def test_contrast_of_text_and_lines_meets_wcag_aa_in_both_themes(theme):
    style = resources.files("pipelines").joinpath("page_assets/common.css").read_text()
    block = style.split(theme, 1)[1].split("}", 1)[0]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    grounds = [colours[name] for name in ("paper", "raised", "tint")]
    for text in ("ink", "soft", "accent"):
        assert min(contrast(colours[text], ground) for ground in grounds) >= 4.5, text
    assert min(contrast(colours["warn"], colours[ground]) for ground in ("paper", "raised", "warn-tint")) >= 4.5
    lines = [colour for name, colour in colours.items() if re.fullmatch(r"line-\d", name)]
    assert len(lines) == 8
    for line in [*lines, colours["firm"]]:
        assert contrast(line, colours["paper"]) >= 3, line


def of_the_programme(expression):
    """What a JavaScript expression over the functions of data.js gives."""
    data = json.dumps(json.dumps(leaderboard()))
    lines = [
        f"const document = {{ getElementById: () => ({{ textContent: {data} }}) }};",
        resources.files("pipelines.leaderboard").joinpath("page_assets/data.js").read_text(encoding="utf-8"),
    ]
    return in_javascript("\n".join(lines), expression)


def test_figures_are_rounded_as_the_other_files_round_them():
    values = [0.8625, -0.8625, 0.8675, 0.0025, 0.00125, 0.9995, 0.99975, 1, 0, *(n / 1600 for n in range(1600))]
    assert of_the_programme(f"{json.dumps(values)}.map(percent)") == [f"{100 * value:.1f}" for value in values]


def test_means_of_printed_figures_are_those_of_the_other_files():
    draw = random.Random(1).randint
    lists = [[draw(0, 1000) / 1000 for _ in range(draw(1, 15))] for _ in range(2000)]
    assert of_the_programme(f"{json.dumps(lists)}.map(mean)") == [math.fsum(each) / len(each) for each in lists]
