"""What the HTML pages are made of: style and programme inside the file, allowed by their hashes alone.

The head, the style and the words that all pages share lie in `page_assets`; each page's own lie beside its module.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

_COMMON = resources.files("pipelines").joinpath("page_assets")


class Assets:
    """The template, style and programme of a page, in the folder `page_assets` of a package."""

    def __init__(self, package: str, title: str, template: str, style: str, scripts: Sequence[str]):
        """`template`: name of the file with the content of the body. `scripts`: names of files, in the order in which
        they use each other."""
        folder = resources.files(package).joinpath("page_assets")
        body, own_style = (folder.joinpath(name).read_text(encoding="utf-8") for name in (template, style))
        head = _COMMON.joinpath("head.html").read_text(encoding="utf-8")
        self.template = head.replace("{{title}}", title) + body
        self.style = _COMMON.joinpath("common.css").read_text(encoding="utf-8") + own_style
        pieces = [_COMMON.joinpath("common.js"), *(folder.joinpath(name) for name in scripts)]
        self.script = '"use strict";\n' + "\n".join(piece.read_text(encoding="utf-8") for piece in pieces)

    def page(self, images: str, scripts: str = "", **parts: str) -> str:
        """The template with style, programme, policy and `parts` (HTML) in the places that it names.

        `images`: where pictures may come from, and `scripts`: which scripts but the page's own may run, both as a
        content security policy says it. Nothing else is allowed: text of the data that were to slip into the markup
        could still not run.
        """
        style, script = (source_hash(text.encode()) for text in (self.style, self.script))
        policy = (
            f"default-src 'none'; style-src {style}; script-src {' '.join([script, *scripts.split()])}; "
            f"img-src {images}; base-uri 'none'; form-action 'none'"
        )
        parts |= {"policy": policy, "style": self.style, "script": self.script}
        # Once through the template, so that braces in the data stay what they are.
        before, *pieces = self.template.split("{{")
        filled = [before]
        for piece in pieces:
            name, _, after = piece.partition("}}")
            filled += [parts[name], after]
        return "".join(filled)


def source_hash(content: bytes) -> str:
    """As a content security policy names a script or style of this content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"


def json_in_html(value: Any) -> str:
    """JSON that an HTML parser reads as text up to the end of its script element, whatever names it holds.

    ASCII only, so that any name can be encoded. ValueError for a NaN or an infinite number.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
