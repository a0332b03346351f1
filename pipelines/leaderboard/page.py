"""The leaderboard as one HTML file that needs no network: style, programme, data and pictures lie inside."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources

_ASSETS = resources.files("pipelines.leaderboard").joinpath("page_assets")
_SCRIPTS = (
    "data.js",
    "ranking.js",
    "table.js",
    "charts.js",
    "details.js",
    "main.js",
)  # in the order in which they use each other


def leaderboard_page(leaderboard: dict, details: dict) -> str:
    """The page's HTML; equal arguments give equal text.

    `leaderboard`: the content of leaderboard.json; `details`: what page_details gives. Paths of runs are left out.
    ValueError for a NaN or an infinite number in either.
    """
    shown = {**leaderboard, "entries": [_without(entry, "runs") for entry in leaderboard["entries"]]}
    style = _asset("leaderboard.css")
    script = '"use strict";\n' + "\n".join(map(_asset, _SCRIPTS))
    # Hashes allow these two and nothing else: text of the data that were to slip into the markup could still not run.
    policy = (
        f"default-src 'none'; style-src {_source_hash(style)}; script-src {_source_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _asset("leaderboard.html")
    parts = {
        "policy": policy,
        "style": style,
        "leaderboard": _json_in_html(shown),
        "details": _json_in_html(details),
        "script": script,
    }
    before, *pieces = page.split("{{")  # once through the template, so that braces in the data stay what they are
    filled = [before]
    for piece in pieces:
        name, _, after = piece.partition("}}")
        filled += [parts[name], after]
    return "".join(filled)


def _asset(name: str) -> str:
    return _ASSETS.joinpath(name).read_text(encoding="utf-8")


def _source_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json_in_html(value: dict) -> str:
    """JSON that an HTML parser reads as text up to the end of its script element, whatever names it holds."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)  # ASCII only: any name can be encoded
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _without(entry: dict, name: str) -> dict:
    return {key: value for key, value in entry.items() if key != name}
