"""The page of a report: what its policy allows, and that no name gets out of the index's text."""

import base64
import json
import re
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.report.index import _front_coded, index_script
from pipelines.report.page import report_page
from tests.pipelines.pages import FORBIDDEN, HOSTILE, Page, in_javascript

NAMES = st.text(st.characters(exclude_categories=["Cs"]))


def test_the_policy_allows_this_programme_and_this_index_alone():
    html = report_page(index_script({"rows": 0}))
    page = Page(html)
    rules = page.rules()
    assert rules["default-src"] == "'none'" and rules["img-src"] == "'self' file: data:" and "unsafe" not in str(rules)
    loaded = [attributes for tag, attributes in page.tags if tag == "script" and "src" in attributes]
    assert [each["src"] for each in loaded] == ["index.js"]
    assert rules["script-src"].endswith(f" 'nonce-{loaded[0]['nonce']}'") and len(rules["script-src"].split()) == 2
    assert len(base64.b64decode(loaded[0]["nonce"])) == 32
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        assert not attributes.get("href", "#").startswith("http"), tag
    assert report_page(index_script({"rows": 1})) != html  # the nonce cannot be known before the index is


def test_the_programme_never_turns_text_into_markup_or_code_and_never_asks_the_network():
    folder = resources.files("pipelines.report") / "page_assets"
    scripts = [each for each in folder.iterdir() if each.name.endswith(".js")]
    for script in [*scripts, resources.files("pipelines") / "page_assets/common.js"]:
        assert not re.search(FORBIDDEN, script.read_text()), script.name
    assert {script.name for script in scripts} == set(
        re.findall(r'"(\w+\.js)"', (resources.files("pipelines.report") / "page.py").read_text())
    )


def test_any_name_comes_back_in_javascript():
    names = [*HOSTILE[:-1], "line\nend", "\\'", "';alert(1);'", "\u2028", "", "\x00"]
    script = index_script({"names": names}).decode("ascii")
    assert in_javascript(script, "JSON.parse(reportIndex).names") == names


def test_front_coded_keys_come_back_in_javascript():
    keys = ["", "a/1", "a/2", "a/\U0001f9ea1", "a/\U0001f9ea2", "a/\U0001f9eb", "x" * 400, "x" * 400 + "y", "<é"]
    shared, rest = _front_coded(keys)
    data_js = (resources.files("pipelines.report") / "page_assets/data.js").read_text(encoding="utf-8")
    function = data_js[data_js.index("function keysOf") :].split("\n}\n")[0] + "\n}\n"
    script = f"{function}const coded = {json.dumps([shared, rest])};"
    assert in_javascript(script, "keysOf(...coded)") == keys
    assert max(shared) == 255 and sum(map(len, rest)) < sum(map(len, keys)) / 1.4


@given(st.lists(NAMES))
def test_front_coded_keys_are_the_first_characters_of_the_one_before_and_the_rest(keys):
    shared, rest = _front_coded(keys)
    last = ""
    for key, length, own in zip(keys, shared, rest):
        assert (last[:length] + own, length <= 255) == (key, True)
        last = key


def test_a_nan_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        index_script({"score": float("nan")})
