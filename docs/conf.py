"""The documentation site: Sphinx, MyST, furo. `make docs` builds it; every warning is an error."""

from __future__ import annotations

import re
from typing import Any

from covid_synth_data import __version__

project = "covid-synth-data"
author = "The covid-synth-data developers"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"covid-synth-data {__version__}"

# Markdown. Headings get anchors, so that a link to a section that is gone is an error.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

# API reference. Links between pages are checked; types of other packages are not looked up on the network.
default_role = "code"
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_use_type_comments = False
python_maximum_signature_line_length = 80


def setup(app: Any) -> None:
    """Register the conversion of docstrings."""
    app.connect("autodoc-process-docstring", _to_restructured_text)


def _to_restructured_text(
    _app: Any, _kind: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    """Turn a docstring into reStructuredText, in place.

    Our docstrings are plain text: paragraphs, lists, names between backticks, and indented blocks of code or
    drawings. Indented blocks become literal blocks; marks that reStructuredText would read are escaped.
    """
    converted: list[str] = []
    text: list[str] = []  # lines of text that wait, since a name between backticks may go over two lines
    inside = False
    for number, line in enumerate(lines):
        if line.startswith(" ") and not _continues_item(lines, number):
            if not inside:
                converted += [*_escaped(text), "", "::", ""]
                text = []
            inside = True
            converted.append("    " + line)
        elif inside and not line:
            converted.append("")
        else:
            if inside:
                converted.append("")
            inside = False
            text.append(line)
    lines[:] = [*converted, *_escaped(text), ""]


def _continues_item(lines: list[str], number: int) -> bool:
    """Whether an indented line goes on with the list item above it."""
    while number and lines[number].startswith(" "):
        number -= 1
    return lines[number].startswith(("- ", "* "))


def _escaped(lines: list[str]) -> list[str]:
    """The lines with names between backticks as literals, and no other mark of reStructuredText."""
    parts = re.split(r"(`[^`]+`)", "\n".join(lines))
    for number, part in enumerate(parts):
        if number % 2:
            parts[number] = f"\\ `{part}`\\ "  # an escaped space lets letters stand beside a literal
        else:
            parts[number] = re.sub(r"([\\*_|`])", r"\\\1", part)
    return "".join(parts).split("\n")
