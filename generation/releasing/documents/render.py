"""The templates of `dataset_cards/`, and the rule that no bare number leaves one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import jinja2
import yaml

from covid_synth_data import escaping

TEMPLATES: Final = Path(__file__).resolve().parents[3] / "dataset_cards"


def environment() -> jinja2.Environment:
    """Jinja as all cards use it: an undefined name or a bare number in a template is an error.

    A number reaches a page as a `measured.Number`, which names its result files, or through the filter
    `count`, which takes whole numbers alone: what the manifest counts.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_no_bare_number,
        autoescape=False,  # noqa: S701 - Markdown, not HTML
    )
    made.filters["count"] = count
    made.filters["markdown"] = escaping.markdown
    return made


def count(value: int) -> str:
    """A whole number with thousands separators. Raises `TypeError` for any other."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is not a count")
    return f"{value:,}"


def _no_bare_number(value: Any) -> Any:
    if isinstance(value, (int, float)):
        raise TypeError(f"the number {value} on a card has no file behind it")
    return value


class _Plain(yaml.SafeDumper):
    """YAML without anchors: a card repeats itself rather than refer to itself."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def page(template: str, header: dict[str, Any], **values: Any) -> str:
    """A Markdown page: `header` as its YAML block, then the template."""
    block = yaml.dump(header, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)
    text = environment().get_template(template).render(**values)
    return f"---\n{block}---\n\n{text}"
