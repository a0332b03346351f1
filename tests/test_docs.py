"""What the documentation quotes is what is shipped."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "adding-a-method.md").read_text()


def test_the_guide_quotes_the_shipped_code():
    """A small method as a whole, then excerpts."""
    whole, *excerpts = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    methods = ROOT / "zsad_core" / "methods"
    assert whole == (methods / "clip_ensemble.py").read_text()
    sources = [path.read_text() for path in methods.rglob("*.py")]
    assert len(excerpts) == 2 and all(any(excerpt in source for source in sources) for excerpt in excerpts)


@pytest.mark.parametrize(
    "document", ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_files_that_are_named_exist(document):
    """Links to files, and files of this repository in backquotes."""
    text = (ROOT / document).read_text()
    linked = [ROOT / document / ".." / name for name in re.findall(r"\]\((?!http|#)([^)#]+)", text)]
    named = [ROOT / name for name in re.findall(r"`((?:zsad_core|pipelines|jobs|tests|perf)/[\w/]+\.\w+)`", text)]
    for path in linked + named:
        assert path.resolve().exists(), path


def test_every_method_is_listed_in_the_guide():
    from zsad_core.methods import METHODS

    listing = GUIDE.partition("$ zsad ls methods\n")[2].partition("$ zsad evaluate")[0]
    assert [line.split()[0] for line in listing.splitlines() if not line.startswith(" ")] == list(METHODS)
