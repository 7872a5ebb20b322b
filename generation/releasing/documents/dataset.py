"""The dataset card of a release: `README.md` with the YAML that `datasets` and the Hub read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from covid_synth_data import catalog, schema, sources
from covid_synth_data.audit.version_table import cell as value_cell
from covid_synth_data.release.manifest import Manifest, Subset
from generation.releasing import licensing
from generation.releasing.documents import render
from generation.releasing.documents.credits import Credit, summary
from generation.releasing.documents.measured import Measured

SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))
SOURCE_TAGS: Final = "extended|other-"
TASKS: Final = ("image-classification", "unconditional-image-generation")


def card(listed: Manifest, measured: Measured, credits: Iterable[Credit], sheets: Iterable[str]) -> str:
    """The card of the release that `listed` describes. `sheets` are paths of pictures in the release."""
    configs = configs_of(listed)
    used = used_sources(listed)
    known = [info for info in sources.list_sources() if info.name in used]
    papers = dict.fromkeys(entry.paper for entry in configs)
    return render.page(
        f"{listed.name}.md.jinja",
        header(listed),
        manifest=listed,
        repository=catalog.REPOSITORIES[listed.name],
        configs=[(entry, sum(listed.subsets[name].rows for name in entry.subsets)) for entry in configs],
        default=default_config(configs),
        subsets={name: (subset, facts(subset)) for name, subset in listed.subsets.items()},
        total=sum(subset.rows for subset in listed.subsets.values()),
        licences=licences_of(listed),
        restricted=licensing.restricted(licences_of(listed)),
        shared_alike=licensing.shared_alike(licences_of(listed)),
        sources=known,
        used=used,
        row_sources=sorted({name for subset in listed.subsets.values() for name in subset.sources}),
        credit_groups=summary(credits, {info.name: info.homepage for info in known}),
        columns=schema.synthetic_columns(listed.name),
        papers=[catalog.PAPERS[name] for name in papers],
        sheets=list(sheets),
        measured=measured,
        value=value_cell,
    )


def configs_of(listed: Manifest) -> list[catalog.DatasetEntry]:
    """The configs whose subsets are all there, in the order of the catalog."""
    return [
        entry
        for entry in catalog.DATASETS
        if entry.dataset == listed.name and set(entry.subsets) <= set(listed.subsets)
    ]


def patterns_of(entry: catalog.DatasetEntry) -> list[str]:
    """Where the shards of a config lie, a pattern for each subset."""
    return [f"{entry.folder}/{subset}-*.parquet" for subset in entry.subsets]


def default_config(configs: list[catalog.DatasetEntry]) -> str:
    """The config that is loaded where none is named: the catalog's, or the first where that is not there."""
    return next((entry.config for entry in configs if entry.default), configs[0].config)


def licences_of(listed: Manifest) -> list[str]:
    """The licences of all films that were translated or learned from."""
    return sorted({licence for subset in listed.subsets.values() for licence in subset.licences})


def used_sources(listed: Manifest) -> set[str]:
    """The sources of films that were translated or learned from."""
    trained_on = {name.partition("/")[0] for s in listed.subsets.values() for name in s.learned_from.films}
    return trained_on | {name for subset in listed.subsets.values() for name in subset.sources}


def facts(subset: Subset) -> list[str]:
    """How a subset was made, one clause each, from its recipe; what a family does not have is left out."""
    recipe = subset.recipe
    data, training, settings = (recipe.get(key) or {} for key in ("data", "training", "release"))
    weights = f"`{subset.weights}`" if subset.weights else "without weights"
    quality = "" if settings.get("codec") == "png" else f" of quality {settings.get('quality')}"
    clauses = [
        f"{render.count(subset.rows)} images of {data.get('size')} x {data.get('size')} pixels, stored as"
        f" {settings.get('codec')}{quality}",
        f"made by `{subset.generator}` ({weights}), family {recipe.get('family')}",
    ]
    if "host_class" in data:
        clauses.append(
            f"each pair is a real {data['host_class']} film and the same film with painted lesions, pattern"
            f" {settings.get('pattern')}"
        )
    elif "source_class" in data:
        clauses.append(f"each image is a translation of a real {data['source_class']} film to COVID-19")
    elif "split" in data:
        moved = settings.get("moved", 0)
        whose = "CT phantom" if settings.get("phantom") else "real slice"
        clauses.append(
            f"each image is the lung alone, drawn from a label map of a {whose} that was augmented"
            + (f" (in {moved:.0%} of the rows: that has the lesions of another patient)" if moved else "")
        )
    elif "classes" in data:
        classes = ", ".join(data["classes"])
        clauses.append(f"each image was drawn from noise by a generator that learned from {classes} films")
    lengths = [
        f"{render.count(training[unit])} {unit if training[unit] > 1 else unit[:-1]}"
        for unit in ("epochs", "steps")
        if training.get(unit)
    ]
    if not training:
        return clauses
    schedule = f"{' and '.join(lengths)} in batches of {training.get('batch_size')}"
    clauses.append(f"trained for {schedule}, seed {recipe.get('seed')}")
    clauses.append(
        f"learned from {render.count(len(subset.learned_from.films))} films (other names of a film counted)"
        f" of {render.count(len(subset.learned_from.patients))} patients, all listed in `manifest.json`"
    )
    return clauses


def header(listed: Manifest) -> dict[str, Any]:
    """The YAML block: licence, tags, and for each config its files, features and sizes."""
    configs = configs_of(listed)
    total = sum(subset.rows for subset in listed.subsets.values())
    of_slices = "mask" in schema.synthetic_columns(listed.name)
    content: dict[str, Any] = {
        "pretty_name": "Synthetic COVID-19 CT slices" if of_slices else "Synthetic COVID-19 chest X-rays",
        "version": listed.version,
        "language": ["en"],
        **licensing.header(licences_of(listed)),
        "annotations_creators": ["machine-generated"],
        "source_datasets": [f"{SOURCE_TAGS}{name}" for name in sorted(used_sources(listed))],
        "task_categories": ["image-segmentation"] if of_slices else list(TASKS),
        "size_categories": [next((name for bound, name in SIZES if total < bound), "100K<n<1M")],
        "tags": [
            "medical",
            "ct" if of_slices else "chest-x-ray",
            "covid-19",
            "synthetic",
            "gan",
            # The modality, and readers of the files: the Hub's filters know these names.
            "image",
            "croissant",
            "mlcroissant",
            "fiftyone",
        ],
        "configs": [],
        "dataset_info": [],
    }
    if listed.restricted:
        content["tags"].append("restricted-sources")
    for entry in configs:
        features = schema.features(schema.synthetic_columns(entry.dataset, entry.config))._to_yaml_list()
        files = [file for file in listed.files if file.subset in entry.subsets]
        size = sum(file.size for file in files)
        paths = patterns_of(entry)
        config: dict[str, Any] = {"config_name": entry.config}
        if entry.config == default_config(configs):
            config["default"] = True
        config["data_files"] = [{"split": "train", "path": paths if len(paths) > 1 else paths[0]}]
        content["configs"].append(config)
        rows = sum(file.rows or 0 for file in files)
        content["dataset_info"].append(
            {
                "config_name": entry.config,
                "features": features,
                "splits": [{"name": "train", "num_bytes": size, "num_examples": rows}],
                "download_size": size,
                "dataset_size": size,
            }
        )
    return content
