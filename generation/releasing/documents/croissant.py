"""`croissant.json`: the release in the vocabulary of MLCommons Croissant 1.1, for tools that search for data.

`mlcroissant`, the reference implementation, writes it. Each shard is a file with its sha256; each config a
set of records whose fields are columns of the shards. The date of publication, which the vocabulary
recommends, is left out, so that the bytes depend on the release alone. `responsible` and `provenance` have
the terms on biases, use and persons, and on where the images come from.
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any, Final

from covid_synth_data import catalog, schema
from covid_synth_data.release.manifest import Manifest
from generation.releasing import licensing
from generation.releasing.documents import dataset, provenance, responsible

NAME: Final = "croissant.json"
VERSION: Final = "http://mlcommons.org/croissant/1.1"
SCHEMA: Final = "https://schema.org/"
PARQUET: Final = "application/x-parquet"
LABELS: Final = "labels"
CT: Final = "covid-synth-ct"

ABOUT: Final = (
    "Synthetic chest X-rays: every image was made by a generator; its label says what it shows, whatever"
    " class the real film had that it was made from. Not for diagnosis."
)

PAIRS_ABOUT: Final = (
    "In the config pairs, one film of each pair is a real normal film in the public domain, and the other is"
    " the same film with painted lesions."
)

KINDS: Final = {
    "image": f"{SCHEMA}ImageObject",
    "mask": f"{SCHEMA}ImageObject",
    "label": f"{SCHEMA}Integer",
    "seed": f"{SCHEMA}Integer",
    "extent": f"{SCHEMA}Float",
}
"""Column to its type; the rest are texts."""

DESCRIPTIONS: Final = {
    "image": "the synthetic film, 8-bit grey",
    "label": "code of the class that the film shows",
    "image_id": "name of the image, unique in the dataset",
    "subset": "part of the dataset",
    "generator": "architecture and tag of the generator",
    "seed": "seed of the recipe",
    "source_dataset": "source of the real film that was translated, empty where none was",
    "source_id": "name of that film in its source",
    "source_class": "class of that film in its source",
    "source_license": "licence of that film",
    "variant": "what of the film was translated, or which draw of the noise",
}
PAIR_DESCRIPTIONS: Final = {
    **DESCRIPTIONS,
    "image": "the film, as it is or with painted lesions, 8-bit grey",
    "mask": "the soft map of the painted lesions, 255 where a pixel belongs to one wholly, 0 where to none",
    "source_dataset": "source of the real film of the pair",
    "variant": "full for the film as it is, else the number of the draw of lesions",
    "pair_id": "name that both films of a pair share",
    "pattern": "the pattern that was painted, empty in the film as it is",
    "extent": "share of both lungs that the lesions cover",
}
CT_ABOUT: Final = (
    "Synthetic CT slices of lungs with COVID-19: each was drawn by a generator from the label map beside"
    " it, and shows the lung alone. Not for diagnosis."
)
CT_DESCRIPTIONS: Final = {
    **DESCRIPTIONS,
    "image": "the synthetic lung on black, 8-bit grey",
    "mask": "its label map: 0 background, 1 lung, 2 ground-glass opacity, 3 consolidation",
    "source_dataset": "source of the slice whose label map it was made of",
    "source_id": "name of that slice in its source",
    "source_class": "class of that slice in its source",
    "source_license": "licence of that slice",
    "variant": "what was done to that label map",
}


def describe(listed: Manifest) -> dict[str, Any]:
    """The content of the file for the release that `listed` describes."""
    repository = catalog.REPOSITORIES[listed.name]
    page = f"https://huggingface.co/datasets/{repository}"
    configs = dataset.configs_of(listed)
    papers = dict.fromkeys(catalog.PAPERS[entry.paper] for entry in configs)
    with warnings.catch_warnings():
        # The library and its RDF library warn of their own use of other libraries.
        warnings.simplefilter("ignore")
        import mlcroissant

        ctx = mlcroissant.Context(conforms_to=VERSION)
        metadata = mlcroissant.Metadata(
            ctx=ctx,
            name=listed.name,
            description=_about(listed),
            url=page,
            version=listed.version,
            license=licensing.addresses(
                dataset.licences_of(listed), f"{page}/blob/v{listed.version}/LICENSE.md"
            ),
            keywords=[
                "COVID-19",
                "computed tomography" if listed.name == CT else "chest X-ray",
                "synthetic data",
                "generative adversarial network",
            ],
            creators=[mlcroissant.Organization(ctx=ctx, name="The covid-synth-data developers")],
            cite_as="; ".join(papers),
            **responsible.fields(listed),
            distribution=_files(mlcroissant, ctx, listed, configs),
            record_sets=[
                _labels(mlcroissant, ctx),
                *(_records(mlcroissant, ctx, entry) for entry in configs),
            ],
        )
        content: dict[str, Any] = metadata.to_json()
    return provenance.added(content, listed, configs)


def _about(listed: Manifest) -> str:
    """A description of the release in a few sentences."""
    if listed.name == CT:
        return CT_ABOUT
    return f"{ABOUT} {PAIRS_ABOUT}" if "pairs" in listed.subsets else ABOUT


def _files(mlc: ModuleType, ctx: Any, listed: Manifest, configs: list[catalog.DatasetEntry]) -> list[Any]:
    """Every shard as a file, and for each config the set of its shards."""
    shards = sorted((file for file in listed.files if file.subset), key=lambda file: file.path)
    files = [
        mlc.FileObject(
            ctx=ctx,
            id=file.path,
            name=file.path,
            content_url=file.path,
            content_size=f"{file.size} B",
            encoding_formats=[PARQUET],
            sha256=file.sha256,
        )
        for file in shards
    ]
    sets = [
        mlc.FileSet(
            ctx=ctx,
            id=_shards(entry),
            name=_shards(entry),
            description=f"The shards of the config {entry.config}.",
            encoding_formats=[PARQUET],
            includes=dataset.patterns_of(entry),
        )
        for entry in configs
    ]
    return [*files, *sets]


def _shards(entry: catalog.DatasetEntry) -> str:
    return f"{entry.config}-shards"


def _labels(mlc: ModuleType, ctx: Any) -> Any:
    """The names of the classes, as an enumeration that the column `label` refers to."""
    fields = [
        mlc.Field(ctx=ctx, id=f"{LABELS}/code", name="code", data_types=[f"{SCHEMA}Integer"]),
        mlc.Field(ctx=ctx, id=f"{LABELS}/name", name="name", data_types=[f"{SCHEMA}Text"]),
    ]
    return mlc.RecordSet(
        ctx=ctx,
        id=LABELS,
        name=LABELS,
        description="The codes of the column label.",
        data_types=[f"{SCHEMA}Enumeration"],
        key=f"{LABELS}/code",
        fields=fields,
        data=[{f"{LABELS}/code": code, f"{LABELS}/name": name} for code, name in enumerate(schema.LABELS)],
    )


def _records(mlc: ModuleType, ctx: Any, entry: catalog.DatasetEntry) -> Any:
    columns = schema.synthetic_columns(entry.dataset, entry.config)
    return mlc.RecordSet(
        ctx=ctx,
        id=entry.config,
        name=entry.config,
        description=entry.description,
        key=f"{entry.config}/image_id",
        fields=[_field(mlc, ctx, entry, column) for column in columns],
    )


def _field(mlc: ModuleType, ctx: Any, entry: catalog.DatasetEntry, column: str) -> Any:
    source = mlc.Source(ctx=ctx, file_set=_shards(entry), extract=mlc.Extract(ctx=ctx, column=column))
    if column in ("image", "mask"):
        source.transforms = [mlc.Transform(ctx=ctx, json_path="bytes")]
    references = mlc.Source(ctx=ctx, field=f"{LABELS}/code") if column == "label" else None
    return mlc.Field(
        ctx=ctx,
        id=f"{entry.config}/{column}",
        name=column,
        description=_descriptions(entry)[column],
        data_types=[KINDS.get(column, f"{SCHEMA}Text")],
        source=source,
        **({"references": references} if references else {}),
    )


def _descriptions(entry: catalog.DatasetEntry) -> dict[str, str]:
    """The content of the columns of a config."""
    if entry.dataset == CT:
        return CT_DESCRIPTIONS
    return PAIR_DESCRIPTIONS if entry.config == "pairs" else DESCRIPTIONS
