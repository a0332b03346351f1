"""The page of a report: one HTML file with its style and programme, which loads the index and the sprites beside it."""

from __future__ import annotations

import base64
import hashlib

from pipelines import pages
from zsad_core import heat_maps

TITLE = "Report of suspicious images"
_SCRIPTS = ("data.js", "view.js", "pictures.js", "gallery.js", "controls.js", "large.js", "main.js")


def report_page(index: bytes) -> str:
    """The page's HTML for an index, what index_script gives; equal indexes give equal text.

    What a nonce allows is this script element alone, and it works for files too, which have no origin that a policy
    could name. It is made from the index: no name in there can know it.
    """
    nonce = base64.b64encode(hashlib.sha256(index).digest()).decode()
    legend = base64.b64encode(heat_maps.legend()).decode()
    assets = pages.Assets("pipelines.report", TITLE, "report.html", "report.css", _SCRIPTS)
    return assets.page(
        images="'self' file: data:", scripts=f"'nonce-{nonce}'", nonce=nonce, legend=f"data:image/png;base64,{legend}"
    )
