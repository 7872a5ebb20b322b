"""The page of the quickstart as text."""

from __future__ import annotations

from covid_synth_data._version import __version__
from covid_synth_data.files import templates
from covid_synth_data.quickstart.walk import Walk


def render(walk: Walk) -> str:
    """The page of the steps that were done; pictures are in it, the page of `explore` is linked."""
    return templates.page("covid_synth_data.quickstart").render(walk=walk, version=__version__)
