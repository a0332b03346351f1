"""The page of a report in a real browser: ranked, filtered, opened, by mouse and keyboard, with few tiles at a time."""

import re
import shutil
import time

import numpy as np
import pytest

from pipelines.report.build import report
from tests.e2e.opened_pages import opened_pages
from tests.one_process import one_process
from tests.pipelines.report.made_up_run import HOSTILE, frame_of, made_up_rows, write_run

sync_api = pytest.importorskip(
    "playwright.sync_api",
    reason="needs playwright and a Chromium: pip install -e '.[browser]'; apt-get install chromium",
)
pytestmark = pytest.mark.slow

COUNT = 200  # images of each of three categories


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder of the report, all rows of the run by pandas with `other`, the score in another run)."""
    folder = tmp_path_factory.mktemp("report with a blank")
    found = made_up_rows(count=COUNT)
    write_run(folder / "run", found, folder / "shards")
    rng = np.random.default_rng(2)
    others = {name: [row | {"score": float(rng.uniform())} for row in rows] for name, rows in found.items()}
    write_run(folder / "other", others)
    with one_process():
        report(str(folder / "run"), str(folder / "other"), str(folder / "report"), None, 48)
    rows = frame_of(folder / "run")
    return folder / "report", rows.assign(other=frame_of(folder / "other").score)


@pytest.fixture
def open_page(browser, made):
    address = (made[0] / "report.html").as_uri()
    with opened_pages(browser, address, "Report of suspicious images", reads_its_folder=True) as open_it:
        yield open_it


def keys(page):
    """Of the tiles that are drawn, in the order in which the page is read."""
    return page.locator(".tile").evaluate_all("all => all.map(each => each.title)")


def count(page):
    return int(re.match(r"[\d,]+", page.locator("#status").inner_text()).group().replace(",", ""))


def ranked(rows, by="score", ascending=False):
    return rows.sort_values([by, "key"], ascending=[ascending, True], na_position="last").key.tolist()


def wait_for_pictures(page):
    """Asked again and again from here: the page's policy lets nothing poll in it."""
    loaded = "[...document.querySelectorAll('.crop img')].every(image => image.complete && image.naturalWidth)"
    deadline = time.monotonic() + 30
    while not page.evaluate(loaded):
        assert time.monotonic() < deadline, "the pictures do not load"
        time.sleep(0.05)


def test_tiles_are_ranked_few_and_show_their_pictures(open_page, made):
    page = open_page()
    drawn = keys(page)
    assert 9 <= len(drawn) < 60 and drawn == ranked(made[1])[: len(drawn)]
    assert count(page) == len(made[1]) == 3 * COUNT
    wait_for_pictures(page)
    page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    sync_api.expect(page.locator(f'.tile[title="{drawn[0]}"]')).to_have_count(0)
    wait_for_pictures(page)
    middle = keys(page)
    start = ranked(made[1]).index(middle[0])
    assert len(middle) < 60 and start > 100 and middle == ranked(made[1])[start : start + len(middle)]


def test_what_a_tile_shows_is_cut_out_of_its_sheet(open_page, made):
    page = open_page("#show=image")
    wait_for_pictures(page)
    tile = page.locator(".tile").filter(has=page.locator("img")).nth(3)
    row = made[1].set_index("key").loc[tile.get_attribute("title")]
    box = tile.locator(".crop").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(row.width / row.height, rel=0.1)


@pytest.mark.parametrize("kind", ["flagged", "misses", "alarms", "failed"])
def test_kinds_are_those_that_pandas_finds(open_page, made, kind):
    page = open_page(f"#kind={kind}")
    cuts = page.evaluate("Object.fromEntries(report.groups.map((group, n) => [group.category, cuts[n]]))")
    rows = made[1]
    above = rows.score > rows.category.map(cuts)
    chosen = {
        "flagged": above,
        "misses": (rows.label == 1) & ~above & rows.error.isna(),
        "alarms": (rows.label == 0) & above,
        "failed": rows.error.notna(),
    }[kind]
    expected = ranked(rows[chosen])
    assert count(page) == len(expected) > 0 and keys(page) == expected[: len(keys(page))]
    shown = page.locator(f'#kinds input[value="{kind}"] + span .count').inner_text()
    assert shown == f"{len(expected):,}"
    if kind == "failed":
        assert page.locator(".tile").inner_text().endswith("truncated <b>image</b>")


def test_filters_combine_and_stand_in_the_address(open_page, made):
    page = open_page()
    page.get_by_role("combobox", name="Category").select_option(label="parts · nut")
    page.get_by_text("Anomalous", exact=True).click()
    page.get_by_label("Text in the key").fill("CAM/1")
    page.get_by_label("from", exact=True).fill("0.5")
    page.get_by_label("Sort by").select_option(label="largest deviation")
    rows = made[1]
    chosen = rows[(rows.category == "nut") & (rows.label == 1) & rows.key.str.contains("cam/1") & (rows.score >= 0.5)]
    expected = ranked(chosen, "score_std")
    assert count(page) == len(expected) > 0 and keys(page) == expected[: len(keys(page))]
    again = open_page(page.evaluate("location.hash"))
    assert keys(again) == keys(page) and count(again) == count(page)
    page.get_by_label("Text in the key").fill("nobody")
    assert page.locator("#nothing").inner_text() == "No image matches these filters."


def test_an_address_that_makes_no_sense_shows_the_usual_view(open_page, made):
    page = open_page("#kind=constructor&sort=toString&group=x&label=valueOf&low=y&cuts={&show=z&open=a/b")
    assert keys(page)[:5] == ranked(made[1])[:5] and not page.locator("dialog").is_visible()


def test_another_cut_changes_who_is_above_it(open_page, made):
    page = open_page("#kind=flagged")
    page.get_by_role("combobox", name="Category").select_option(label="our line/3 · b>")
    field = page.locator("#cuts input")
    assert "95 % of the category's images are below" in page.locator("#cuts").inner_text()
    field.fill("0.5")
    field.press("Enter")
    assert count(page) == ((made[1].category == "b>") & (made[1].score > 0.5)).sum()
    again = open_page(page.evaluate("location.hash"))
    assert count(again) == count(page) and again.locator("#cuts input").input_value() == "0.5"
    field.fill("")
    field.press("Enter")
    assert count(page) == 10  # 5 % of 200


def test_disagreement_goes_by_ranks_within_the_category(open_page, made):
    page = open_page()
    page.get_by_text("Runs disagree").click()
    rows = made[1][made[1].score.notna() & made[1].other.notna()]
    ranks = rows.groupby("category")[["score", "other"]].rank(ascending=False)
    apart = ((ranks.other - ranks.score) / rows.groupby("category").score.transform("size")).abs()
    assert count(page) == (apart >= 0.25).sum()
    shown = apart[rows.key.isin(keys(page))]
    assert apart.set_axis(rows.key)[keys(page)].is_monotonic_decreasing and shown.max() == apart.max()


def test_one_image_large_by_keyboard_with_its_neighbours(open_page, made):
    page = open_page()
    order = ranked(made[1])
    page.locator('.tile[tabindex="0"]').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    title = dialog.get_by_role("heading")
    assert title.inner_text() == order[1] and "open=" in page.evaluate("location.hash")
    row = made[1].set_index("key").loc[order[1]]
    assert f"{row.score:.3f} ± {row.score_std:.3f}" in dialog.inner_text()
    page.keyboard.press("ArrowRight")
    assert title.inner_text() == order[2]
    spoken = page.locator("#stage [role=img]").get_attribute("aria-label")
    assert spoken.startswith("Heat map over the image, Rank 3, score")
    page.keyboard.press("m")
    assert page.locator("#stage [role=img]").get_attribute("aria-label").startswith("Image")
    assert page.get_by_role("button", name="Heat map", exact=True).get_attribute("aria-pressed") == "false"
    again = open_page(page.evaluate("location.hash"))
    assert again.get_by_role("dialog").get_by_role("heading").inner_text() == order[2]
    page.keyboard.press("Escape")
    sync_api.expect(page.locator(f'.tile[title="{order[2]}"]')).to_be_focused()
    assert "open=" not in page.evaluate("location.hash")
    page.locator(".tile").first.click()
    page.go_back()
    sync_api.expect(page.locator("dialog")).to_be_hidden()


def test_the_arrow_keys_reach_every_tile(open_page, made):
    page = open_page()
    page.locator('.tile[tabindex="0"]').focus()
    page.keyboard.press("End")
    order = ranked(made[1])
    assert page.evaluate("document.activeElement.title") == order[-1]
    assert page.locator('.tile[tabindex="0"]').count() == 1
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.title") == order[-2]
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.title") == order[0]


def test_hostile_names_are_text(open_page):
    page = open_page("#search=hacked")
    assert count(page) == 1 and keys(page) == [HOSTILE]
    page.locator(".tile").click()
    assert page.get_by_role("dialog").get_by_role("heading").inner_text() == HOSTILE
    wait_for_pictures(page)


def test_what_a_policy_would_have_to_stop_is_stopped(browser, made):
    page = browser.new_page()
    page.goto((made[0] / "report.html").as_uri())
    refused = []
    page.on("console", lambda message: refused.append(message.text))
    page.evaluate(
        "for (const [tag, text] of [['script', 'document.title = 1'], ['script', '']]) {"
        " const node = document.createElement(tag); node.textContent = text;"
        " if (!text) node.src = 'index.js?again'; document.body.append(node); }"
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title = 2\">')"
    )
    page.wait_for_timeout(300)
    assert page.title() == "Report of suspicious images"
    assert sum("Content Security Policy" in text for text in refused) == 3
    page.close()


@pytest.mark.parametrize("width", [360, 800])
def test_narrow_screens_never_scroll_sideways(open_page, width):
    page = open_page(width=width, height=740)
    page.get_by_role("button", name="Filters").click()
    assert page.locator("#kinds").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(".tile").first.click()
    assert page.evaluate("(each => each.scrollWidth <= each.clientWidth)(document.getElementById('large'))")


def test_a_report_without_its_index_says_so(browser, made, tmp_path):
    shutil.copy(made[0] / "report.html", tmp_path)
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    assert "index.js is not beside this page" in page.get_by_role("alert").inner_text()
    page.close()


def test_a_sheet_that_is_missing_costs_its_pictures_alone(browser, made, tmp_path):
    shutil.copytree(made[0], tmp_path / "report", ignore=shutil.ignore_patterns("*.webp"))
    page = browser.new_page()
    page.goto((tmp_path / "report" / "report.html").as_uri())
    sync_api.expect(page.locator(".missing").first).to_have_text("sheet not found")
    assert keys(page)[:3] == ranked(made[1])[:3]
    page.close()
