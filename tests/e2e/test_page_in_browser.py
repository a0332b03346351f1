"""The leaderboard's page in a real browser: what is shown, sorted, filtered and opened, and that nothing is fetched."""

import re

import pytest

from pipelines.leaderboard.page import leaderboard_page
from tests.e2e.made_up_page import BENCHMARKS, BOARD, ELSEWHERE, HOSTILE, PUBLISHED, REMARK, RUNS, make_details
from tests.e2e.opened_pages import opened_pages

sync_api = pytest.importorskip(
    "playwright.sync_api",
    reason="needs playwright and a Chromium: pip install -e '.[browser]'; apt-get install chromium",
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "leaderboard.html"
    file.write_text(leaderboard_page(BOARD, make_details()), encoding="utf-8")
    return file.as_uri()


@pytest.fixture
def open_page(browser, address):
    with opened_pages(browser, address, "Leaderboard of zero-shot anomaly detection") as open_it:
        yield open_it


def view_of(page):
    """The part of the address that the page itself sets; playwright's own `url` may lag behind."""
    return page.evaluate("location.hash")


def names(page, kind):
    return page.locator(f"#board tbody tr.{kind} .entry").all_inner_texts()


def heads(page):
    return page.locator("#board thead [data-sort]").evaluate_all("all => all.map(each => each.dataset.sort)")


def value_of(entry, benchmark, group="image", metric="auroc"):
    cells = next(each["cells"] for each in BOARD["benchmarks"] if each["name"] == benchmark)
    figure = ((cells.get(entry) or {"mean": {}})["mean"].get(group) or {}).get(metric)
    return figure and figure["value"]


def shown_values(page):
    """Entry -> what its cells print, dashes included."""
    rows = page.locator("#board tbody tr:not(.block)").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => {"
        " const text = cell.querySelector('.entry, .value') ?? cell.querySelector('[aria-hidden]');"
        " return text.classList.contains('entry') ? text.textContent : text.childNodes[0].textContent; }))"
    )
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize("group, metric", [("image", "auroc"), ("image_plain", "f1_max"), ("pixel", "aupro_200")])
def test_every_cell_prints_its_value_and_means_are_plain_means(open_page, group, metric):
    page = open_page(f"#group={group}&metric={metric}")
    columns, shown = heads(page)[1:], shown_values(page)
    level = "pixel" if group == "pixel" else "image"
    present = [name for name, (_, levels, _) in BENCHMARKS.items() if level in levels]
    assert [key.split(":", 1)[1] for key in columns if key.startswith("benchmark:")] == present
    defined = {entry: [value_of(entry, name, group, metric) for name in present] for entry in [*RUNS, *PUBLISHED]}
    assert set(shown) == {entry for entry, values in defined.items() if any(values)}
    for entry, cells in shown.items():
        values = [value for value in defined[entry] if value is not None]
        cell = dict(zip(columns, cells))
        assert float(cell["mean:all"]) == pytest.approx(100 * sum(values) / len(values), abs=0.051)
        printed = [cell[f"benchmark:{name}"] for name in present]
        assert printed == ["–" if value is None else f"{100 * value:.1f}" for value in defined[entry]]


def test_sorts_by_click_and_by_keyboard_with_dashes_last(open_page):
    page = open_page()
    head = page.locator('[data-sort="benchmark:HeadCT"]')
    head.click()
    known = [run for run in RUNS if run != "alpha"]
    falling = sorted(known, key=lambda run: -value_of(run, "HeadCT"))
    assert names(page, "run") == [*falling, "alpha"]
    assert page.locator('th[aria-sort="descending"]').count() == 1
    assert head.locator("xpath=..").get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")  # the head kept the focus although the table was drawn anew
    assert names(page, "run") == [*falling[::-1], "alpha"]
    assert head.locator("xpath=..").get_attribute("aria-sort") == "ascending"
    page.locator('[data-sort="name"]').press("Space")
    assert names(page, "published") == sorted(PUBLISHED)


def test_filters_and_restores_the_view_from_its_address(open_page):
    page = open_page()
    page.get_by_text("Medical", exact=True).first.click()
    assert [key for key in heads(page) if key.startswith("benchmark:")] == ["benchmark:HeadCT"]
    assert "Paper A, Paper B, Paper C" in page.locator("#nothing").inner_text()
    page.get_by_text("Pixel", exact=True).click()
    page.get_by_text("AP", exact=True).click()
    page.get_by_label("Entries", exact=True).fill("MADE so é")
    assert names(page, "run") == [HOSTILE] and list(heads(page))[-1] == "benchmark:ISIC"
    page.locator('[data-sort="benchmark:ISIC"]').click()
    again = open_page(view_of(page))
    assert shown_values(again) == shown_values(page) and heads(again) == heads(page)
    assert again.get_by_label("Entries", exact=True).input_value() == "MADE so é"
    assert again.locator("#metrics input:checked").get_attribute("value") == "ap"
    page.get_by_label("Entries", exact=True).fill("nobody")
    assert page.locator("#nothing").inner_text() == "No entry matches the search."


def test_an_address_that_makes_no_sense_shows_the_usual_view(open_page):
    page = open_page("#group=constructor&metric=x&domain=y&open=toString&entry=valueOf&order=z&sort=benchmark:no")
    assert names(page, "run") == RUNS and not page.locator("dialog").is_visible()


def test_a_cell_says_all_it_knows_to_those_who_hear_it(open_page):
    page = open_page()
    spoken = page.locator('[data-benchmark="VisA"][data-entry="alpha"]').get_attribute("aria-label")
    value = 100 * value_of("alpha", "VisA")
    assert f"VisA, alpha: {value:.1f} percent" in spoken and f"interval {value - 5:.1f} to {value + 3:.1f}" in spoken
    assert "spread over seeds 0.4" in spoken and "difference to published −1.2" in spoken and REMARK in spoken
    cell = page.locator('td:has([data-benchmark="VisA"][data-entry="alpha"])').inner_text()
    assert f"[{value - 5:.1f}, {value + 3:.1f}]" in cell and "Δ\u2009−1.2" in cell and "±\u20090.4" in cell
    assert "alpha on VisA" in page.locator("#remarks").inner_text() and REMARK in page.locator("#remarks").inner_text()
    paper = page.locator('[data-benchmark="VisA"][data-entry="Paper B"]').get_attribute("aria-label")
    assert paper.endswith("second-hand")


def test_untrained_weights_are_announced_and_never_best(open_page):
    page = open_page()
    assert page.get_by_role("note").inner_text() == "Untrained weights: the figures of untrained one mean nothing."
    no_rivals = {
        "MVTec-AD": ["untrained one"],
        "VisA": ["untrained one", ELSEWHERE],  # on other images than the published figures
        "HeadCT": ["untrained one"],
        "constructor": ["untrained one", ELSEWHERE],  # only the two others were compared, so are on the same images
    }
    for name, others in no_rivals.items():
        shown = {run: value_of(run, name) for run in [*RUNS, *PUBLISHED] if run not in others}
        best = max((value or 0, run) for run, value in shown.items())[1]
        marked = page.locator(f'td.best [data-benchmark="{name}"]')
        assert marked.evaluate_all("all => all.map(each => each.dataset.entry)") == [best]


def test_what_was_on_other_images_is_marked_and_says_why(open_page):
    page = open_page()
    button = page.locator(f'td [data-benchmark="VisA"][data-entry="{ELSEWHERE}"]')
    spoken = button.get_attribute("aria-label")
    assert "not on the published test set" in spoken and "published on other images" in spoken
    assert "8 of 9 images" in spoken and f"{ELSEWHERE} on VisA" in page.locator("#remarks").inner_text()
    assert "‡" in button.inner_text() and "(Δ\u2009−1.2)" in button.locator("xpath=..").inner_text()
    assert page.locator("td", has_text="‡").locator("[data-benchmark]").count() == 1
    assert "‡" in page.locator("#key").inner_text()
    button.click()
    comparisons = page.locator("section", has_text="Paired comparisons: Image AUROC").inner_text()
    assert f"Not compared: alpha and {ELSEWHERE} (not the same images)." in comparisons


def test_comparisons_over_benchmarks_follow_the_chosen_figure(open_page):
    page = open_page()
    overall = page.locator("#overall")
    assert all(piece in overall.inner_text() for piece in ("+5.5", "[+1.0, +10.0]", "over MVTec-AD, HeadCT", "< 0.001"))
    page.get_by_text("F1-max", exact=True).click()
    assert not overall.is_visible()
    assert "KSDD2 (no run covers it)" in page.locator("#absent").inner_text()


def test_a_mean_over_fewer_benchmarks_is_marked_and_no_rival(open_page):
    page = open_page("#domain=industrial")
    row = page.locator("#board tr.published", has_text="Paper C")
    assert row.locator("td").first.inner_text().endswith("1 of 2") and "partial" in row.locator(
        "td"
    ).first.get_attribute("class")
    assert row.locator(".rank").inner_text() == ""
    ranked = page.locator("#board tbody tr:not(.block)").filter(has_not_text="Paper C").filter(has_not_text="untrained")
    assert sorted(ranked.locator(".rank").all_inner_texts()) == ["", "1", "2", "3", "4"]  # one was on other images


def test_details_open_from_a_cell_show_all_parts_and_close_with_escape(open_page):
    page = open_page()
    page.locator('[data-benchmark="MVTec-AD"][data-entry="alpha"]').click()
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("heading", level=2).inner_text() == "MVTec-AD" and "open=MVTec-AD" in view_of(page)
    text = dialog.inner_text()
    for piece in (
        "first-hand, Paper A's README",
        "published 90.0 (first-hand), difference −1.2",
        "One image is missing.",
    ):
        assert piece in text
    assert "−2.1" in text and "[−4.3, +0.1]" in text and "0.061" in text and "0.100" in text and "0.500" in text
    assert HOSTILE in text and dialog.locator(".sample img").count() == 3
    widths = "all => Promise.all(all.map(each => each.decode().then(() => each.naturalWidth)))"
    assert dialog.locator(".sample img").evaluate_all(widths) == [192] * 3
    hidden = dialog.locator("tr.below").first
    assert not hidden.is_visible()
    dialog.get_by_role("button", name="bottle").press("Enter")
    assert hidden.is_visible() and "crack" in hidden.inner_text()
    page.keyboard.press("Escape")
    cell = page.locator('#board [data-benchmark="MVTec-AD"][data-entry="alpha"]')
    sync_api.expect(cell).to_be_focused()  # a dialog tells a bit later that it was closed
    assert not dialog.is_visible() and "open=" not in view_of(page)


def test_details_open_by_keyboard_and_go_with_the_back_button(open_page):
    page = open_page()
    page.locator('#board td [tabindex="0"]').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    entry, benchmark = page.evaluate("[document.activeElement.dataset.entry, document.activeElement.dataset.benchmark]")
    assert entry == names(page, "run")[1] and benchmark == "VisA"
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").get_by_role("heading", level=2).inner_text() == "VisA"
    page.go_back()
    sync_api.expect(page.locator("dialog")).to_be_hidden()
    page.get_by_role("button", name="Details of HeadCT").press("Enter")
    assert page.get_by_role("dialog").get_by_role("heading", level=2).inner_text() == "HeadCT"
    assert "without predictions" in page.get_by_role("dialog").inner_text()
    page.get_by_role("button", name="Close").click()
    assert not page.get_by_role("dialog").is_visible()


def test_the_figure_chosen_in_the_details_is_that_of_the_table_too(open_page):
    page = open_page("#open=constructor")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Figure").select_option(label="Pixel AUPRO-200")
    assert f"{100 * value_of('alpha', 'constructor', 'pixel', 'aupro_200'):.1f}" in dialog.inner_text()
    assert dialog.is_visible() and dialog.get_by_label("Figure").evaluate("each => each === document.activeElement")
    page.keyboard.press("Escape")
    assert page.locator("#metrics input:checked").get_attribute("value") == "aupro_200"


def test_curves_are_drawn_to_scale_differ_by_colour_and_dash_and_can_be_switched_off(open_page):
    page = open_page("#open=MVTec-AD")
    charts = page.locator(".chart")
    assert page.locator(".chart-box figcaption").all_inner_texts() == ["Image ROC", "PRO"]
    lines = charts.first.locator("polyline")
    looks = lines.evaluate_all(
        "all => all.map(each => [getComputedStyle(each).stroke, each.getAttribute('stroke-dasharray')])"
    )
    assert len(looks) == 3 == len({look[0] for look in looks}) == len({look[1] for look in looks})
    points = [tuple(map(float, point.split(","))) for point in lines.first.get_attribute("points").split()]
    (left, bottom), (x, y), (right, top) = points
    assert (x - left) / (right - left) == pytest.approx(0.1, abs=1e-3)
    assert (bottom - y) / (bottom - top) == pytest.approx(0.7, abs=1e-3)
    page.get_by_role("checkbox", name="alpha").uncheck()
    assert [each.locator("polyline").count() for each in charts.all()] == [2, 2]


@pytest.mark.parametrize("view", ["", "#open=MVTec-AD", "#group=pixel&metric=ap&search=one"])
@pytest.mark.parametrize("width", [360, 768])
def test_narrow_screens_never_scroll_sideways_but_the_tables_do(open_page, width, view):
    page = open_page(view, width=width, height=740)
    for place in ("document.documentElement", "document.body", "document.getElementById('details')"):
        assert page.evaluate(f"{place}.scrollWidth <= {place}.clientWidth"), place
    if not view and width == 360:
        page.evaluate("document.getElementById('scores').scrollLeft = 400")
        first = page.locator("#board tbody .name .entry").first.bounding_box()
        assert first["x"] >= 0 and first["x"] + first["width"] <= width
        assert page.locator("#scores").evaluate("each => each.scrollLeft") > 100


def test_light_and_dark_follow_the_system_until_one_is_chosen(open_page):
    def ground(page):
        red, green, blue = re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]
        return "dark" if int(red) + int(green) + int(blue) < 200 else "light"

    page = open_page(color_scheme="dark")
    assert ground(page) == "dark"
    page.emulate_media(color_scheme="light")
    sync_api.expect(page.locator("html")).to_have_attribute("data-theme", "light")  # the system tells it a bit later
    assert ground(page) == "light"
    page.get_by_role("button", name="Dark").click()
    assert ground(page) == "dark" and page.get_by_role("button", name="Dark").get_attribute("aria-pressed") == "true"
    page.reload()
    assert ground(page) == "dark"


def test_print_shows_the_table_without_controls(open_page):
    page = open_page()
    page.emulate_media(media="print")
    assert not page.locator("#controls").is_visible() and page.locator("#board").is_visible()


def test_less_motion_where_it_is_asked_for(open_page):
    def animation(page):
        return page.locator("dialog").evaluate("each => getComputedStyle(each).animationName")

    assert animation(open_page("#open=VisA", reduced_motion="reduce")) == "none"
    assert animation(open_page("#open=VisA", reduced_motion="no-preference")) == "arrive"
