"""Text of unknown origin on its way out: one function for each medium.

A name or note that came from a file or a server is data. In a terminal, in Markdown, in HTML and in a
spreadsheet some characters are commands instead. What `files.fields` lets in is already one printable line;
these functions are the second wall, and the only one for text that may be of any form, such as file names.
"""

from __future__ import annotations

import html as _html
import re
from typing import Final

_MARKDOWN: Final = re.compile(r"[\\`*\[\]<>|~$]|(?<!\w)_|_(?!\w)|&(?=#|\w+;)")
"""What Markdown reads as a mark; an underscore within a word is none."""

_BLOCK: Final = re.compile(r"^(\d{1,9}(?=[.)])|[#+=-])")
"""What makes a heading, a list or a rule at the start of a line."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")
"""First characters that make a spreadsheet calculate a cell, and the apostrophe that prevents it."""


def terminal(text: str) -> str:
    """`text` as one line that a terminal shows and never obeys.

    Characters that do not print (control characters, line ends, changes of the writing direction, bytes that
    are no text) are written as escapes, e.g. \\x1b.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def terminal_lines(text: str) -> str:
    """`text` of several lines, each as `terminal` gives it. Tabs become spaces."""
    return "\n".join(terminal(line) for line in text.expandtabs().split("\n"))


def markdown(text: str) -> str:
    """`text` within a line or a table cell of Markdown, without any mark-up of its own."""
    line = terminal(" ".join(text.split()))
    marked = _MARKDOWN.sub(lambda found: "\\" + found[0], line)
    return _BLOCK.sub(lambda found: found[0] + "\\" if found[0].isdigit() else "\\" + found[0], marked)


def html(text: str) -> str:
    """`text` within HTML or SVG: between tags, or in a quoted attribute."""
    return _html.escape(terminal(text), quote=True)


def csv(text: str) -> str:
    """`text` as a cell of a table that may be opened in a spreadsheet: never a formula. `csv_read` inverts.

    Such a cell gets an apostrophe in front, which spreadsheets do not show.
    """
    return "'" + text if text.startswith(_FORMULA) else text


def csv_read(cell: str) -> str:
    """The text that `csv` wrote as `cell`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
