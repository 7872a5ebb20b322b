"""The dataset card of a release: `README.md` with the YAML that `datasets` and the Hub read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import jinja2
import yaml

from covid_synth_data import catalog, schema, sources
from covid_synth_data.manifest import Manifest

TEMPLATES: Final = Path(__file__).resolve().parents[1] / "dataset_cards"

HUB_LICENCES: Final = {
    "CC0 1.0": "cc0-1.0",
    "CC BY 2.0": "cc-by-2.0",
    "CC BY 2.5": "cc-by-2.5",
    "CC BY 3.0": "cc-by-3.0",
    "CC BY 4.0": "cc-by-4.0",
    "Apache-2.0": "apache-2.0",
    "MIT": "mit",
}
"""Our licence names to the Hub's identifiers; what is not here is "other"."""


def render(listed: Manifest) -> str:
    """The card of the release that `listed` describes; every number in it comes from the manifest."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,  # noqa: S701 - Markdown, not HTML
    )  # fmt: skip
    used = {name for subset in listed.subsets.values() for name in subset.sources}
    text = environment.get_template(f"{listed.name}.md.jinja").render(
        manifest=listed,
        configs=[
            (entry, sum(listed.subsets[name].rows for name in entry.subsets)) for entry in _configs(listed)
        ],
        total=sum(subset.rows for subset in listed.subsets.values()),
        licences=sorted({licence for subset in listed.subsets.values() for licence in subset.licences}),
        sources=[info for info in sources.list_sources() if info.name in used],
        columns=schema.SYNTHETIC_COLUMNS,
        paper=catalog.PAPERS["zunair2021"],
    )
    header = yaml.safe_dump(_header(listed), sort_keys=False, allow_unicode=True, width=110)
    return f"---\n{header}---\n\n{text}"


def _configs(listed: Manifest) -> list[catalog.DatasetEntry]:
    """The configs whose subsets are all there, in the order of the catalog."""
    return [
        entry
        for entry in catalog.DATASETS
        if entry.dataset == listed.name and set(entry.subsets) <= set(listed.subsets)
    ]


def _header(listed: Manifest) -> dict[str, Any]:
    """The YAML block: licence, tags, and for each config its files, features and sizes."""
    configs = _configs(listed)
    default = next((entry.config for entry in configs if entry.default), configs[0].config)
    total = sum(subset.rows for subset in listed.subsets.values())
    bounds = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")]
    licences = sorted(
        {HUB_LICENCES.get(name, "other") for s in listed.subsets.values() for name in s.licences}
    )
    header: dict[str, Any] = {
        "pretty_name": "Synthetic COVID-19 chest X-rays",
        "license": licences[0] if len(licences) == 1 else licences,
        "task_categories": ["image-classification", "unconditional-image-generation"],
        "size_categories": [next((name for bound, name in bounds if total < bound), "100K<n<1M")],
        "tags": ["medical", "chest-x-ray", "covid-19", "synthetic", "gan"],
        "configs": [],
        "dataset_info": [],
    }
    features = schema.features(schema.SYNTHETIC_COLUMNS)._to_yaml_list()
    for entry in configs:
        files = [file for file in listed.files if file.subset in entry.subsets]
        size = sum(file.size for file in files)
        paths = [f"{entry.folder}/{subset}-*.parquet" for subset in entry.subsets]
        config: dict[str, Any] = {"config_name": entry.config}
        if entry.config == default:
            config["default"] = True
        config["data_files"] = [{"split": "train", "path": paths if len(paths) > 1 else paths[0]}]
        header["configs"].append(config)
        rows = sum(file.rows or 0 for file in files)
        header["dataset_info"].append(
            {
                "config_name": entry.config,
                "features": features,
                "splits": [{"name": "train", "num_bytes": size, "num_examples": rows}],
                "download_size": size,
                "dataset_size": size,
            }
        )
    return header
