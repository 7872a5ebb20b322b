"""`croissant.json`: the release in the vocabulary of MLCommons Croissant 1.0, for tools that search for data.

Each shard is a file with its sha256; each config a set of records whose fields are columns of the shards.
The date of publication, which the vocabulary recommends, is left out: the bytes depend on the release alone.
"""

from __future__ import annotations

from typing import Any, Final

from covid_synth_data import catalog, schema
from covid_synth_data.release.manifest import Manifest
from generation.releasing import licensing
from generation.releasing.documents import dataset

NAME: Final = "croissant.json"
CONFORMS: Final = "http://mlcommons.org/croissant/1.0"
PARQUET: Final = "application/x-parquet"
LABELS: Final = "labels"
CT: Final = "covid-synth-ct"

ABOUT: Final = (
    "Synthetic chest X-rays: every image was made by a generator; its label says what it shows, whatever"
    " class the real film had that it was made from. Not for diagnosis."
)

KINDS: Final = {
    "image": "sc:ImageObject",
    "mask": "sc:ImageObject",
    "label": "sc:Integer",
    "seed": "sc:Integer",
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
CT_ABOUT: Final = (
    "Synthetic CT slices of lungs with COVID-19: each was drawn by a generator from the label map beside"
    " it, and shows the lung alone. Not for diagnosis."
)
CT_DESCRIPTIONS: Final = {
    **DESCRIPTIONS,
    "image": "the synthetic lung on black, 8-bit grey",
    "mask": "its label map: 0 background, 1 lung, 2 ground-glass opacity, 3 consolidation",
    "source_dataset": "source of the real slice whose label map it was made of",
    "source_id": "name of that slice in its source",
    "source_class": "class of that slice in its source",
    "source_license": "licence of that slice",
    "variant": "what was done to that label map",
}

_TERMS: Final = (
    "citeAs",
    "column",
    "containedIn",
    "extract",
    "field",
    "fileObject",
    "fileSet",
    "includes",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "separator",
    "source",
    "subField",
    "transform",
    "fileProperty",
    "format",
    "equivalentProperty",
    "samplingRate",
)


def context() -> dict[str, Any]:
    """The JSON-LD context that the specification asks for."""
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "dct": "http://purl.org/dc/terms/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "sc": "https://schema.org/",
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
        **{term: f"cr:{term}" for term in sorted(_TERMS)},
    }


def describe(listed: Manifest) -> dict[str, Any]:
    """The content of the file for the release that `listed` describes."""
    repository = catalog.REPOSITORIES[listed.name]
    page = f"https://huggingface.co/datasets/{repository}"
    configs = dataset.configs_of(listed)
    papers = dict.fromkeys(catalog.PAPERS[entry.paper] for entry in configs)
    return {
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS,
        "name": listed.name,
        "description": CT_ABOUT if listed.name == CT else ABOUT,
        "url": page,
        "version": listed.version,
        "license": licensing.addresses(
            dataset.licences_of(listed), f"{page}/blob/v{listed.version}/LICENSE.md"
        ),
        "keywords": [
            "COVID-19",
            "computed tomography" if listed.name == CT else "chest X-ray",
            "synthetic data",
            "generative adversarial network",
        ],
        "creator": {"@type": "sc:Organization", "name": "The covid-synth-data developers"},
        "citeAs": "; ".join(papers),
        "isLiveDataset": False,
        "distribution": _files(listed, configs),
        "recordSet": [_labels(), *(_records(entry) for entry in configs)],
    }


def _files(listed: Manifest, configs: list[catalog.DatasetEntry]) -> list[dict[str, Any]]:
    """Every shard as a file, and for each config the set of its shards."""
    shards = sorted((file for file in listed.files if file.subset), key=lambda file: file.path)
    files = [
        {
            "@type": "cr:FileObject",
            "@id": file.path,
            "name": file.path,
            "contentUrl": file.path,
            "contentSize": f"{file.size} B",
            "encodingFormat": PARQUET,
            "sha256": file.sha256,
        }
        for file in shards
    ]
    sets = [
        {
            "@type": "cr:FileSet",
            "@id": _shards(entry),
            "name": _shards(entry),
            "description": f"The shards of the config {entry.config}.",
            "containedIn": [{"@id": file.path} for file in shards if file.subset in entry.subsets],
            "encodingFormat": PARQUET,
            "includes": dataset.patterns_of(entry),
        }
        for entry in configs
    ]
    return [*files, *sets]


def _shards(entry: catalog.DatasetEntry) -> str:
    return f"{entry.config}-shards"


def _labels() -> dict[str, Any]:
    """The names of the classes, as an enumeration that the column `label` refers to."""
    fields = [
        {"@type": "cr:Field", "@id": f"{LABELS}/code", "name": "code", "dataType": "sc:Integer"},
        {"@type": "cr:Field", "@id": f"{LABELS}/name", "name": "name", "dataType": "sc:Text"},
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": LABELS,
        "name": LABELS,
        "description": "The codes of the column label.",
        "dataType": "sc:Enumeration",
        "key": {"@id": f"{LABELS}/code"},
        "field": fields,
        "data": [{f"{LABELS}/code": code, f"{LABELS}/name": name} for code, name in enumerate(schema.LABELS)],
    }


def _records(entry: catalog.DatasetEntry) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": entry.config,
        "name": entry.config,
        "description": entry.description,
        "key": {"@id": f"{entry.config}/image_id"},
        "field": [_field(entry, column) for column in schema.synthetic_columns(entry.dataset)],
    }


def _field(entry: catalog.DatasetEntry, column: str) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": _shards(entry)}, "extract": {"column": column}}
    if column in ("image", "mask"):
        source["transform"] = {"jsonPath": "bytes"}
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{entry.config}/{column}",
        "name": column,
        "description": (CT_DESCRIPTIONS if entry.dataset == CT else DESCRIPTIONS)[column],
        "dataType": KINDS.get(column, "sc:Text"),
        "source": source,
    }
    if column == "label":
        field["references"] = {"field": {"@id": f"{LABELS}/code"}}
    return field
