"""A leaderboard as LaTeX: a table of the image level and one of the pixel level, for any article with booktabs."""

from __future__ import annotations

import unicodedata

from pipelines.leaderboard.cells import HIGHLIGHTS, Shown, cell_text, legend, means_table, untrained_note
from pipelines.tables import COLUMNS
from pipelines.texts import DASH, percent

_HEAD = r"""% Needs \usepackage{booktabs}; with \usepackage{graphicx} the tables are made to fit the width.
\providecommand{\resizebox}[3]{#3}
"""
_LEVELS = {"image": "Image level", "pixel": "Pixel level"}
_CHARACTERS = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "[": "{[}",  # behind \\ it would be taken as an option
    "]": "{]}",
    "*": "{*}",
    '"': "{''}",
    DASH: "--",
    "±": r"$\pm$",
    "×": r"$\times$",
    "†": r"$^{\dagger}$",
    "‡": r"$^{\ddagger}$",
    "ᶠ": r"$^{\mathrm{f}}$",
    "ˢ": r"$^{\mathrm{s}}$",
    "ʳ": r"$^{\mathrm{r}}$",
}
_ACCENTS = dict(zip("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327", r"`'^~=u." + '"rHvc'))


def leaderboard_latex(leaderboard: dict) -> str:
    """A float a level with a booktabs tabular: methods by benchmarks, a block a metric; none for an empty level."""
    tables = [text for level in _LEVELS if (text := _table(leaderboard, level))]
    return _HEAD + "\n".join(tables)


def escape(text: str) -> str:
    """Any text as LaTeX that every engine sets: accents as commands, letters but Latin ones by number (U+65E5)."""
    return "".join(map(_character, " ".join(text.split())))


def _character(c: str) -> str:
    if c in _CHARACTERS:
        return _CHARACTERS[c]
    if " " <= c <= "~":
        return c
    letter, *accents = list(unicodedata.normalize("NFD", c))
    if letter.isascii() and len(accents) == 1 and accents[0] in _ACCENTS:
        return f"\\{_ACCENTS[accents[0]]}{{{letter}}}"
    return f"U+{ord(c):04X}"


def _table(leaderboard: dict, level: str) -> str:
    blocks: list[str] = []
    titles: list[str] = []
    marks: list[str] = []
    for column in COLUMNS:
        if column.group == level:
            titles, rows = means_table(leaderboard, column)
            if rows:
                lines = [rf"\multicolumn{{{len(titles) + 1}}}{{l}}{{\textit{{{column.title}}}}} \\"]
                for entry, cells in rows:
                    marks += [cell_text(cell) for cell in cells]
                    lines.append(_row([escape(entry["name"]), *map(_cell, cells)]))
                    if any(cell.low is not None for cell in cells):
                        lines.append(_row(["", *map(_interval, cells)]))
                blocks.append("\n".join(lines))
    if not blocks:
        return ""
    body = "\n\\midrule\n".join(blocks)
    caption = f"{_LEVELS[level]}, percent, below it the 95 \\% interval for the images. {HIGHLIGHTS}"
    notes = [note for note in [*legend(marks), untrained_note(leaderboard)] if note]
    return rf"""\begin{{table*}}
\centering
\caption{{{caption} {". ".join(map(escape, notes))}.}}
\label{{tab:zsad-{level}}}
\smallskip
\scriptsize
\setlength{{\tabcolsep}}{{2pt}}
\resizebox{{\ifdim\width>\textwidth\textwidth\else\width\fi}}{{!}}{{%
\begin{{tabular}}{{@{{}}l*{{{len(titles)}}}{{r}}@{{}}}}
\toprule
{_row(["Method", *map(escape, titles)])}
\midrule
{body}
\bottomrule
\end{{tabular}}}}
\end{{table*}}
"""


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Shown) -> str:
    number = escape(percent(cell.value))
    number = {1: rf"\textbf{{{number}}}", 2: rf"\underline{{{number}}}"}.get(cell.rank, number) + escape(cell.marks)
    if cell.spread is not None:
        number += rf"\,{{\tiny$\pm${percent(cell.spread)}}}"
    return number + (rf"\,{{\tiny({cell.over})}}" if cell.over else "")


def _interval(cell: Shown) -> str:
    return "" if cell.low is None else rf"{{\tiny{{[}}{percent(cell.low)}, {percent(cell.high)}{{]}}}}"
