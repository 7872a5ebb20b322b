"""The answers to Croissant's vocabulary for responsible AI: biases, limits, uses, persons.

The card says the same at length; these are the sentences for machines. A sentence stands where the release
has what it speaks of.
"""

from __future__ import annotations

from typing import Any, Final

from covid_synth_data.release.manifest import Manifest
from generation.releasing.documents import dataset

USES: Final = (
    "Research on training classifiers with synthetic images, measured on real images of other patients.",
    "Research on copies, privacy and shortcuts in synthetic medical images.",
    "Not for diagnosis, triage or any decision about a patient, and not for a device that makes one.",
    "Not as a test set, and not mixed into one: a score on synthetic images says nothing about patients.",
    "Not for finding out who the patients behind the source images are.",
)

SOCIAL: Final = (
    "The images may help research where few real images are free to use. A classifier that learned their"
    " shortcuts may look better than it is, which harms patients if it is used on them."
)

MAINTENANCE: Final = (
    "A version is a tag of the repository and never changes. Corrections, and removals on request of a"
    " patient or a source, come with a new version; manifest.json lists every film that was used."
)


def fields(listed: Manifest) -> dict[str, Any]:
    """The keyword arguments of `mlcroissant.Metadata` with the terms of the vocabulary."""
    return {
        "data_collection": _collection(listed),
        "data_collection_type": ["Secondary Data Analysis"],
        "data_preprocessing_protocol": [
            f"{name}: {'; '.join(dataset.facts(subset))}.".replace("`", "")
            for name, subset in listed.subsets.items()
        ],
        "machine_annotation_tools": sorted({subset.generator for subset in listed.subsets.values()}),
        "data_biases": _biases(listed),
        "data_limitations": _limitations(listed),
        "data_use_cases": list(USES),
        "data_social_impact": SOCIAL,
        "personal_sensitive_information": _persons(listed),
        "data_release_maintenance_plan": MAINTENANCE,
    }


def _collection(listed: Manifest) -> str:
    names = ", ".join(sorted(dataset.used_sources(listed)))
    return f"No new image of a person was taken. Generators and rules made the images from {names}."


def _biases(listed: Manifest) -> list[str]:
    used = dataset.used_sources(listed)
    biases = [
        "Images of different classes come from different collections; exposure, borders, markers and devices"
        " of these tell the class beside the disease.",
        "Age, sex, origin and severity follow the collections and were not balanced; most do not state them.",
    ]
    if "kermany" in used:
        biases.append("Films of kermany are of children of one hospital; the COVID-19 films are of adults.")
    if "covid-19-image-repository" in used:
        biases.append("Most COVID-19 films under permissive licences are of one hospital.")
    return biases


def _limitations(listed: Manifest) -> list[str]:
    limitations = ["No radiologist has read the images; a label says what a generator was meant to draw."]
    if any("source_class" in (subset.recipe.get("data") or {}) for subset in listed.subsets.values()):
        limitations.append(
            "Several images may be made of one film, and several films be of one patient: images are not"
            " independent of each other."
        )
    if _pairs(listed):
        limitations.append(
            "Painted lesions follow rules that were fitted to infection masks of one collection."
        )
    return limitations


def _persons(listed: Manifest) -> list[str]:
    notes = ["No name, date or number of a person is in the rows; source_id names a public film."]
    if any("source_class" in (subset.recipe.get("data") or {}) for subset in listed.subsets.values()):
        notes.append(
            "A translation keeps the anatomy of the patient of its source film, who can be found again by"
            " whoever has that film. No anonymity is claimed."
        )
    if _pairs(listed):
        notes.append("One film of each pair is a real film in the public domain; both show the same person.")
    return notes


def _pairs(listed: Manifest) -> bool:
    return any("host_class" in (subset.recipe.get("data") or {}) for subset in listed.subsets.values())
