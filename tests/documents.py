"""README.md and docs/*.md as their readers use them: commands behind "$ " or of a script, and blocks of Python."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def blocks(name: str) -> list[tuple[str, str]]:
    """(language or "", content) of a document's fenced blocks, in their order."""
    text = (ROOT / name).read_text()
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE)
    return [(language, content) for _, language, content in found]


def commands(language: str, content: str) -> list[str]:
    """Those of a block, each in one line."""
    lines = [line.strip() for line in re.sub(r"\\\n\s*", "", content).splitlines()]
    if language == "sh":
        return [line for line in lines if line.startswith("zsad ")]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
