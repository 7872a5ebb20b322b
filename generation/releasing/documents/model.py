"""The card of a weights file: what the network does, what it learned from, and what it is not for."""

from __future__ import annotations

from typing import Any

from covid_synth_data import sources
from covid_synth_data.generators.weights import Card
from covid_synth_data.release.manifest import Manifest
from generation.releasing import licensing
from generation.releasing.documents import render


def card(weights: Card, path: str, listed: Manifest) -> str:
    """The card of the weights at `path` of the release `listed`, for a repository of their own or as a page.

    Every number in it is from the weights' own card.
    """
    content = weights.model_dump()
    training: dict[str, Any] = content["training"]
    trained_on = training.get("learned_from") or {}
    used = {name.partition("/")[0] for name in trained_on.get("films", [])}
    films = [info for info in sources.list_sources() if info.name in used]
    translates = bool(content.get("source_class"))
    header = {
        **licensing.header(weights.licences),
        "library_name": "covid-synth-data",
        "pipeline_tag": "image-to-image" if translates else "unconditional-image-generation",
        "tags": ["medical", "chest-x-ray", "covid-19", "gan", weights.architecture],
    }
    return render.page(
        "model.md.jinja",
        header,
        card=content,
        training=training,
        recipe=training.get("recipe") or {},
        learned=trained_on,
        sources=films,
        translates=translates,
        path=path,
        manifest=listed,
        restricted=licensing.restricted(weights.licences),
        subsets=[name for name, subset in listed.subsets.items() if subset.weights == path],
    )
