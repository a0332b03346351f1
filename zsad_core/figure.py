"""Pictures beside each other with titles, scales and a caption, as one image (PIL)."""

from __future__ import annotations

import os
from typing import NamedTuple

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from zsad_core.heat_maps import COLOURS

_MARGIN, _GAP, _BAR = 20, 16, 12
_SMALL, _USUAL, _LARGE = 13, 14, 17  # of letters, in pixels
_INK, _SOFT, _PAPER = (31, 29, 26), (98, 93, 84), (251, 250, 246)
_LEAST_WIDTH = 200  # of a panel: numbers stand below it


class Panel(NamedTuple):
    """A picture, what stands above it, and the values in [0, 1] at the ends of its colours, where it has such."""

    title: str
    picture: Image.Image
    scale: tuple[float, float] | None = None


def figure(panels: list[Panel], caption: list[str]) -> Image.Image:
    """Panels from left to right, below them their scales and the caption's lines, the first in larger letters.

    Lines that are too long are broken. An RGB image as wide as the panels need.
    """
    widths = [max(_LEAST_WIDTH, panel.picture.width) for panel in panels]
    width = sum(widths) + _GAP * (len(panels) - 1) + 2 * _MARGIN
    lines = [
        (piece, _LARGE if number == 0 else _USUAL)
        for number, line in enumerate(caption)
        for piece in _broken(line, _font(_LARGE if number == 0 else _USUAL), width - 2 * _MARGIN)
    ]
    titles = [_broken(panel.title, _font(_SMALL), each) for panel, each in zip(panels, widths)]
    top = _MARGIN + max(map(len, titles)) * (_SMALL + 5) + 4
    below = top + max(panel.picture.height for panel in panels)
    text_top = below + (_BAR + _SMALL + 26 if any(panel.scale for panel in panels) else 16)
    height = text_top + sum(size + 8 for _, size in lines) + _MARGIN - 6
    canvas = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(canvas)
    left = _MARGIN
    for panel, title, panel_width in zip(panels, titles, widths):
        for number, piece in enumerate(title):
            draw.text((left, _MARGIN + number * (_SMALL + 5)), piece, _SOFT, _font(_SMALL))
        canvas.paste(panel.picture, (left, top))
        if panel.scale:
            _draw_scale(canvas, draw, (left, below + 10), panel_width, panel.scale)
        left += panel_width + _GAP
    for piece, size in lines:
        draw.text((_MARGIN, text_top), piece, _INK if size == _LARGE else _SOFT, _font(size))
        text_top += size + 8
    return canvas


def _draw_scale(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, place: tuple[int, int], width: int, scale: tuple[float, float]
) -> None:
    left, top = place
    canvas.paste(Image.fromarray(COLOURS[None]).resize((width, _BAR), Image.Resampling.NEAREST), place)
    for share, anchor in ((0, "la"), (0.5, "ma"), (1, "ra")):
        value = scale[0] + share * (scale[1] - scale[0])
        draw.text((left + share * width, top + _BAR + 4), f"{value:.4f}", _SOFT, _font(_SMALL), anchor=anchor)


def _broken(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Lines that are not wider than `width`, broken at spaces where there are some."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont:
    """One that comes with matplotlib: Latin, Greek and Cyrillic letters on every machine."""
    return ImageFont.truetype(os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)
