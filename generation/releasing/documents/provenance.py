"""Where the images of a release come from, in PROV-O, as Croissant 1.1 recommends it.

mlcroissant reads a file with these terms and passes over them, so they join what it has written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from covid_synth_data import catalog, sources
from covid_synth_data.release.manifest import Manifest, Subset

PREFIX: Final = "prov"
ADDRESS: Final = "http://www.w3.org/ns/prov#"

_MADE: Final = {
    "host_class": "painting of lesions by rules",
    "source_class": "translation of real films by a generator",
    "split": "drawing of slices from label maps by a generator",
}
"""A key of the data of a recipe to what a release of such a recipe does."""


def added(
    content: Mapping[str, Any], listed: Manifest, configs: Iterable[catalog.DatasetEntry]
) -> dict[str, Any]:
    """`content` of a Croissant file with the sources and the making of the dataset and of each config.

    The file sets of the configs are those named CONFIG-shards.
    """
    subsets = {
        f"{entry.config}-shards": [listed.subsets[name] for name in entry.subsets] for entry in configs
    }
    distribution = [
        {**part, **_of(subsets[part["@id"]])} if part["@id"] in subsets else part
        for part in content["distribution"]
    ]
    context = {**content["@context"], PREFIX: ADDRESS}
    return {
        **content,
        "@context": dict(sorted(context.items())),
        "distribution": distribution,
        **_of(list(listed.subsets.values())),
    }


def _of(subsets: list[Subset]) -> dict[str, Any]:
    """The terms of some subsets: the collections they are derived from, the runs that generated them."""
    used = {name for subset in subsets for name in subset.sources}
    used |= {name.partition("/")[0] for subset in subsets for name in subset.learned_from.films}
    pages = {info.name: info.homepage for info in sources.list_sources()}
    derived = [
        {"@id": pages.get(name) or f"urn:dataset:{name}", "@type": "prov:Entity", "prov:label": name}
        for name in sorted(used)
    ]
    return {
        **({"prov:wasDerivedFrom": derived} if derived else {}),
        "prov:wasGeneratedBy": [_activity(subset) for subset in subsets],
        "prov:wasAttributedTo": {"@type": "prov:Agent", "prov:label": "The covid-synth-data developers"},
    }


def _activity(subset: Subset) -> dict[str, Any]:
    """The run that made a subset: with which generator, weights and code."""
    data = subset.recipe.get("data") or {}
    how = next((text for key, text in _MADE.items() if key in data), "sampling from a generator")
    if subset.imported is not None:
        how = "generation elsewhere, imported"
    commit = f", commit {subset.git}" if subset.git else ""
    used = {"prov:used": {"@type": "prov:Entity", "prov:label": subset.weights}} if subset.weights else {}
    return {
        "@type": "prov:Activity",
        "prov:label": f"{how}: {subset.generator}, {subset.rows:,} images",
        **used,
        "prov:wasAssociatedWith": {
            "@type": "prov:SoftwareAgent",
            "prov:label": f"covid-synth-data {subset.code_version}{commit}",
        },
    }
