"""The leaderboard as one HTML file that needs no network: style, programme, data and pictures lie inside."""

from __future__ import annotations

from pipelines import pages

TITLE = "Leaderboard of zero-shot anomaly detection"
_SCRIPTS = ("data.js", "ranking.js", "table.js", "charts.js", "details.js", "main.js")


def leaderboard_page(leaderboard: dict, details: dict) -> str:
    """The page's HTML; equal arguments give equal text.

    `leaderboard`: the content of leaderboard.json; `details`: what page_details gives. Paths of runs are left out.
    ValueError for a NaN or an infinite number in either.
    """
    shown = {**leaderboard, "entries": [_without(entry, "runs") for entry in leaderboard["entries"]]}
    assets = pages.Assets("pipelines.leaderboard", TITLE, "leaderboard.html", "leaderboard.css", _SCRIPTS)
    return assets.page(images="data:", leaderboard=pages.json_in_html(shown), details=pages.json_in_html(details))


def _without(entry: dict, name: str) -> dict:
    return {key: value for key, value in entry.items() if key != name}
