"""The checks of an audit, in the order of the page. A new check is a module with a SECTION and a line."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Final

from covid_synth_data.audit.contract import Section
from covid_synth_data.errors import UnknownName

SECTIONS: Final = ("fidelity", "copies", "privacy", "shortcuts", "anatomy")
"""The table: the names of the modules beside this one."""


def load(names: Sequence[str] | None = None) -> list[Section]:
    """The sections of these names (None: all), in the order of the table. Raises `UnknownName`."""
    for name in names or ():
        if name not in SECTIONS:
            raise UnknownName("section of an audit", name, SECTIONS)
    chosen = [name for name in SECTIONS if names is None or name in names]
    return [importlib.import_module(f"covid_synth_data.audit.{name}").SECTION for name in chosen]
