"""The page of the quickstart as text."""

from __future__ import annotations

from covid_synth_data._version import __version__
from covid_synth_data.quickstart.walk import Walk


def render(walk: Walk) -> str:
    """The page of the steps that were done; pictures are in it, the page of `explore` is linked."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("covid_synth_data.quickstart", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja").render(walk=walk, version=__version__)
