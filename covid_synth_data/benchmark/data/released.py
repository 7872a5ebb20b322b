"""The released configs that a suite asks for: loaded, identified, and kept apart from the test films."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from covid_synth_data.benchmark import results
from covid_synth_data.errors import CorruptRelease, LeakError, ReleaseError
from covid_synth_data.release import loading, manifest, verification
from covid_synth_data.sources.patients import canonical_id

if TYPE_CHECKING:
    import datasets

Loaded = tuple[dict[str, "datasets.Dataset"], results.Dataset | None, dict[str, str]]


def load(name: str, configs: Sequence[str], release: str | Path | None, version: str | None) -> Loaded:
    """The configs of a dataset, where they come from, and for each that is not there the reason.

    Raises `CorruptRelease` where a config holds films of a subset that is not its own.
    """
    loaded: dict[str, datasets.Dataset] = {}
    missing: dict[str, str] = {}
    if release is None and configs:
        try:
            # All configs from one version, should a newer appear meanwhile.
            version = loading.release_manifest(name, version).version
        except CorruptRelease:
            raise
        except ReleaseError as error:
            return loaded, None, dict.fromkeys(configs, _reason(error))
    for config in configs:
        try:
            loaded[config] = loading.load_dataset(name, config, split="train", version=version, root=release)
        except CorruptRelease:
            raise
        except ReleaseError as error:
            missing[config] = _reason(error)
    for config, rows in loaded.items():
        strange = set(rows.unique("subset")) - set(loading.entry(name, config, release).subsets)
        if strange:
            raise CorruptRelease(
                f"the config {config!r} holds films of other subsets",
                found=", ".join(map(str, strange)),
                expected=", ".join(loading.entry(name, config, release).subsets),
                hint="the file patterns in the release's README.md take in too much; make it again",
            )
    if not loaded:
        return loaded, None, missing
    folder = loading.release_folder(name, version, release)
    listed = manifest.read(folder)
    digest = manifest.identity(folder)
    return loaded, results.Dataset(name=listed.name, version=listed.version, manifest_sha256=digest), missing


def _reason(error: ReleaseError) -> str:
    """The first statement of an error, which says what is wrong; another error can take it up."""
    return str(error).partition(". Next: ")[0].partition("; ")[0].removesuffix(".")


def trained_on(
    name: str, configs: Sequence[str], release: str | Path | None, version: str | None = None
) -> dict[str, manifest.Learned]:
    """The films and patients that the generators of the configs were trained on.

    Patients come in today's writing (`patients.canonical_id`), whatever that of the release. Raises
    `CorruptRelease` where the manifest names others than the cards of the weights.
    """
    if not configs:
        return {}
    folder = loading.folder_with_cards(name, version, release)
    listed = manifest.read(folder)
    parts = {
        config: [
            verification.trained_on(folder, listed, subset)
            for subset in loading.entry(name, config, release).subsets
        ]
        for config in configs
    }
    return {
        config: manifest.Learned(
            films=sorted({film for subset in part for film in subset.films}),
            patients=sorted({canonical_id(patient) for subset in part for patient in subset.patients}),
        )
        for config, part in parts.items()
    }


def phantoms(
    name: str, configs: Sequence[str], release: str | Path | None, version: str | None = None
) -> dict[str, dict[str, int]]:
    """The options of the CT phantoms whose label maps the images of a config were drawn from, for those
    configs that have such label maps."""
    if not configs:
        return {}
    subsets = loading.release_manifest(name, version, release).subsets
    recipes = {
        config: subsets[subset].recipe.get("release") or {}
        for config in configs
        for subset in loading.entry(name, config, release).subsets
    }
    return {config: dict(recipe["phantom"]) for config, recipe in recipes.items() if recipe.get("phantom")}


def unknown_training(
    name: str, configs: Sequence[str], release: str | Path | None, version: str | None = None
) -> list[str]:
    """A note for each imported config of which nobody says what real films its generator learned from."""
    if not configs:
        return []
    subsets = loading.release_manifest(name, version, release).subsets
    return [
        f"what the generator of {config} learned from is unknown: a test film may be among it"
        for config in configs
        if config in subsets
        and (stated := subsets[config].imported) is not None
        and stated.learned_from == "unknown"
    ]


def together(parts: Sequence[datasets.Dataset]) -> datasets.Dataset:
    """Identities of the films of all configs, so that each other part is read once to be compared."""
    import datasets

    columns = ("image", "image_id", "source_dataset", "source_id")
    return datasets.concatenate_datasets(
        [part.select_columns([name for name in columns if name in part.column_names]) for part in parts]
    )


def check_generators(
    splits: datasets.DatasetDict, trained_on: Sequence[manifest.Learned], saw: Sequence[str]
) -> list[str]:
    """Raise `LeakError` where a generator was trained on a film or patient of validation or test.

    Parts in `saw` may have: the note that says so, if they did, is returned.
    """
    films = {name for lineage in trained_on for name in lineage.films}
    patients = {name for lineage in trained_on for name in lineage.patients}
    # A column without [:] is read row by row, images included.
    parts = {
        part: zip(splits[part]["image_id"][:], splits[part]["patient_id"][:], strict=True)
        for part in ("validation", "test")
    }
    return check_not_trained_on(parts, films, patients, saw, "films")


def check_not_trained_on(
    parts: Mapping[str, Iterable[tuple[str, str]]],
    images: Collection[str],
    patients: Collection[str],
    saw: Sequence[str],
    what: str,
) -> list[str]:
    """Raise `LeakError` where a part has one of `images`, or one whose patient is in `patients`.

    `parts` give the id and the patient of each image; `what` names the images. Parts in `saw` may have some:
    the note that says so, if they did, is returned.
    """
    notes = []
    for part, rows in parts.items():
        shared = [image for image, patient in rows if image in images or patient in patients]
        if shared and part in saw:
            notes.append(f"{len(shared)} {part} {what}, or others of their patients, taught a generator")
        elif shared:
            raise LeakError(
                f"the {part} part has {what} that a generator of the release learned from",
                found=f"{len(shared)}, e.g. {shared[0]}",
                expected="none",
                hint="use the sources, the split and the split seed that the release was made with",
            )
    return notes
