"""Pages as their tests read them, their programmes run by node, and names that try to be more than names."""

import json
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!-- <script>",
    "<img src=x onerror=alert(1)>",
    "]]>&lt;/script&gt;",
    "quotes \" and ' and `${1}` and {{style}} and \\u003c",
    "__proto__",
    "naïve \u2028 line, \u202e turned, 汉字, \U0001f9ea",
    "a file name that is no text: \udcff",
]
# What turns text into markup or code, or asks the network.
FORBIDDEN = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|fetch\(|XMLHttp|import\("


class Page(HTMLParser):
    """Tags with their attributes, and the text of script and style elements."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts, self._open = [], [], None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open = len(self.texts) if tag in ("script", "style") else None
        if self._open is not None:
            self.texts.append([tag, dict(attributes), ""])

    def handle_data(self, data):
        if self._open is not None:
            self.texts[self._open][2] += data

    def handle_endtag(self, tag):
        self._open = None

    def data(self, name):
        return json.loads(next(text for _, attributes, text in self.texts if attributes.get("id") == name))

    def rules(self):
        """Of its Content-Security-Policy: directive -> what is allowed."""
        policy = next(each["content"] for tag, each in self.tags if each.get("http-equiv") == "Content-Security-Policy")
        return dict(rule.split(" ", 1) for rule in policy.split("; "))


def in_javascript(script, expression):
    """What a JavaScript expression gives behind a script; skips the test where there is no node."""
    if not shutil.which("node"):
        pytest.skip("needs node")
    programme = f"{script}\nconsole.log(JSON.stringify({expression}));"
    return json.loads(subprocess.run(["node", "-"], input=programme, capture_output=True, text=True, check=True).stdout)
