"""The films of an audit: the synthetic set, and the real films that it is held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from covid_synth_data import catalog, schema, sources
from covid_synth_data.audit.contract import Encoding, Material
from covid_synth_data.audit.films import Cell, FilmSet, of_frame
from covid_synth_data.audit.result import Subject
from covid_synth_data.errors import ConfigError, EmptySplit, MissingSource, UnknownName
from covid_synth_data.lesions import priors
from covid_synth_data.metrics import approximate, intervals
from covid_synth_data.release import loading, manifest
from covid_synth_data.sources import table
from covid_synth_data.sources.disk import IMAGE_SUFFIXES
from covid_synth_data.splits.protocols import joining

if TYPE_CHECKING:
    import datasets
    import pandas as pd

PHANTOM: Final = "phantom"

PAINTING: Final = "lesions"
"""The family of recipes that paint by rules and learn from no film."""


def gather(
    config: str,
    root: str | Path | None,
    release: str | Path | None = None,
    version: str | None = None,
    label: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    search: str = approximate.EXACT,
) -> Material:
    """The films to audit `config`, a config of a release or a folder of images, with the real sets in `root`.

    `label` is the class (None: COVID-19 where the set has it, else its most frequent class). `limit` is the
    most films of each set (None: all), `search` how films that look alike are looked for. Raises
    `UnknownName`, `ConfigError`, `EmptySplit` where there is nothing of the class, `MissingSource` where
    there are no real films, and the errors of `load_dataset`.
    """
    if limit is not None and limit < 1:
        raise ConfigError("a limit of no films", found=str(limit), expected="1 or more")
    configs = {entry.config for entry in catalog.DATASETS}
    if config not in configs and not Path(config).is_dir():
        raise UnknownName("config, or folder of images,", config, configs)
    trained_on: _Learned | None = None
    encoding: Encoding | None = None
    if config in configs:
        subject, made, trained_on, encoding = _released(config, release, version, label)
    else:
        subject, made = _folder(Path(config), label or "covid-19")
    frame = _real(root, trained_on.phantom if trained_on else None)
    synthetic = made if limit is None else made.draw(limit, seed)
    sorted_films = _sorted(subject, synthetic, frame, trained_on, limit, seed, search)
    return replace(sorted_films, encoding=encoding)


# The synthetic set


class _Learned(NamedTuple):
    """Whom a generator learned from; the options of the phantoms where it learned from phantoms, else None;
    whether nothing was learned at all."""

    listed: manifest.Learned
    phantom: dict[str, Any] | None
    untrained: bool


def _released(
    config: str, release: str | Path | None, version: str | None, label: str | None
) -> tuple[Subject, FilmSet, _Learned, Encoding | None]:
    """The images of a config, the training films and patients of its generators, and how it is encoded."""
    entry = next(item for item in catalog.DATASETS if item.config == config)
    rows = loading.load_dataset(entry.dataset, config, version=version, root=release)
    folder = loading.release_folder(entry.dataset, version, release)
    listed = manifest.read(folder)
    subsets = [listed.subsets[name] for name in entry.subsets]
    trained_on = manifest.Learned(
        films=sorted({name for subset in subsets for name in subset.learned_from.films}),
        patients=sorted({name for subset in subsets for name in subset.learned_from.patients}),
    )
    recipes = [subset.recipe.get("data") or {} for subset in subsets]
    phantoms = [data for data in recipes if PHANTOM in (data.get("sources") or ())]
    options = dict(phantoms[0].get("phantom") or {}) if phantoms else None
    chosen, name = _of_label(rows, config, label)
    subject = Subject(
        name=entry.dataset,
        config=config,
        version=listed.version,
        manifest_sha256=manifest.identity(folder),
        label=name,
    )
    untrained = all(subset.recipe.get("family") == PAINTING for subset in subsets)
    made_by = _Learned(trained_on, options, untrained)
    return subject, of_dataset(f"{config} images", chosen), made_by, _encoding(subsets)


def _encoding(subsets: Sequence[manifest.Subset]) -> Encoding | None:
    """The encoding that all recipes state, None where they state none or several."""
    settings = [subset.recipe.get("release") or {} for subset in subsets]
    codecs, qualities = ({setting.get(key) for setting in settings} for key in ("codec", "quality"))
    codec, quality = codecs.pop(), qualities.pop()
    if codecs or qualities or codec not in ("png", "jpeg", "webp") or not isinstance(quality, int):
        return None
    return Encoding(codec, quality)


def _of_label(rows: datasets.Dataset, what: str, label: str | None) -> tuple[datasets.Dataset, str]:
    """The rows of one class, and its name."""
    names = rows.features["label"].names
    codes = np.asarray(rows["label"][:])
    if label is None:
        counts = Counter(codes.tolist())
        covid = schema.LABELS[schema.COVID]
        label = covid if covid in names and counts[names.index(covid)] else names[counts.most_common(1)[0][0]]
    if label not in names:
        raise UnknownName("class", label, names)
    at = np.flatnonzero(codes == names.index(label))
    if not len(at):
        raise EmptySplit(
            f"{what} has no {label} image", expected="at least one", hint="choose another --label"
        )
    return rows.select(at), label


def of_dataset(what: str, rows: datasets.Dataset) -> FilmSet:
    """Rows in `schema.SYNTHETIC_COLUMNS`."""
    import datasets

    undecoded = rows.select_columns(["image"]).cast_column("image", datasets.Image(decode=False))

    def cell(place: int) -> Cell:
        content: Cell = undecoded[place]["image"]
        return content

    ids = tuple(map(str, rows["image_id"][:]))
    maps = None
    if "mask" in rows.column_names:
        undecoded_maps = rows.select_columns(["mask"]).cast_column("mask", datasets.Image(decode=False))

        def map_cell(place: int) -> Cell:
            content: Cell = undecoded_maps[place]["mask"]
            return content

        maps = map_cell
    pairs = zip(rows["source_dataset"][:], rows["source_id"][:], strict=True)
    origins = tuple(f"{dataset}/{name}" if dataset and name else "" for dataset, name in pairs)
    return FilmSet(
        what,
        ids,
        tuple(origin or name for origin, name in zip(origins, ids, strict=True)),
        tuple("synthetic" for _ in ids),
        cell,
        origins if any(origins) else (),
        tuple(str(variant or "full") for variant in rows["variant"][:]),
        maps,
    )


def _folder(folder: Path, label: str) -> tuple[Subject, FilmSet]:
    """Every image below a folder; who was learned from is not known."""
    paths = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )
    if not paths:
        raise EmptySplit(
            f"no images in {folder}", expected=f"files {', '.join(IMAGE_SUFFIXES)}", hint="check the folder"
        )
    ids = tuple(path.relative_to(folder).as_posix() for path in paths)
    films = FilmSet(
        f"images in {folder.name}",
        ids,
        ids,
        tuple("synthetic" for _ in ids),
        lambda place: {"bytes": None, "path": str(paths[place])},
    )
    subject = Subject(name=folder.name, config=folder.name, version=None, manifest_sha256=None, label=label)
    return subject, films


# The real films


def _real(root: str | Path | None, phantom: dict[str, Any] | None) -> pd.DataFrame:
    """All usable films of the sets that are there, or phantoms for a generator that learned from phantoms."""
    import pandas as pd

    if phantom is not None:
        return table.usable(sources.read_source(PHANTOM, None, **phantom))
    frames = []
    for info in sources.list_sources():
        if info.name == PHANTOM or "ct" in info.name.split("-") or not set(info.classes) & set(schema.LABELS):
            continue
        try:
            frames.append(table.usable(sources.read_source(info.name, root)))
        except MissingSource:
            # A root holds some of the sets; that it holds none is an error below.
            continue
    frames = [frame[(frame["path"] != "") | frame["bytes"].notna()] for frame in frames]
    if not any(map(len, frames)):
        raise MissingSource(
            "an audit without real films",
            found=f"none in {root}" if root else "no root",
            expected="a folder that holds real sets",
            hint="give --root; covid-synth sources shows what it holds",
        )
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)


def _sorted(
    subject: Subject,
    synthetic: FilmSet,
    frame: pd.DataFrame,
    trained_by: _Learned | None,
    limit: int | None,
    seed: int,
    search: str,
) -> Material:
    """The real films by their part in the audit. Raises `MissingSource`."""
    of_class = _of_class(frame, subject.label, search)
    films, patients = (
        (set(trained_by.listed.films), set(trained_by.listed.patients)) if trained_by else (set(), set())
    )
    trained_on = of_class["image_id"].isin(films)
    known = bool(trained_on.any())
    if known:
        # Training and held-out films of one set, so that they differ by the training and not by the hospital.
        same_set = of_class["source_dataset"].isin(set(of_class.loc[trained_on, "source_dataset"]))
        of_trained_patients = trained_on | of_class["patient_id"].isin(patients)
    else:
        largest = of_class["source_dataset"].value_counts().index[0]
        same_set = of_class["source_dataset"] == largest
        half = intervals.parts_of(of_class["person"].tolist(), 2, seed)
        trained_on = of_trained_patients = same_set & (half == 0)
    # A person counts wherever their films lie: one with a training film is not held out, and one with a film
    # in the sets of the training films is not of another hospital.
    new = ~of_class["person"].isin(set(of_class.loc[of_trained_patients, "person"]))
    foreign = ~of_class["person"].isin(set(of_class.loc[same_set, "person"]))
    # The name under which a training film is listed stands for the film.
    once = ~of_class.sort_index(key=lambda rows: ~trained_on[rows])["film"].duplicated().sort_index()
    sets = {
        "training": ("training films", trained_on & once),
        "held_out": ("held-out films", same_set & new & once),
        "elsewhere": ("films of other sets", foreign & once),
    }
    training, held_out, elsewhere = (
        _at_most(_persons(f"real {what}", of_class[rows]), limit, seed) for what, rows in sets.values()
    )
    translated = _sources(synthetic, frame)
    patient = dict(zip(translated.ids, translated.groups, strict=True))
    # A translation belongs to the patient of its source, so that probes never see a patient on both sides.
    owners = tuple(
        patient.get(origin, group)
        for origin, group in zip(synthetic.origins or ("",) * len(synthetic), synthetic.groups, strict=True)
    )
    return Material(
        subject,
        replace(synthetic, groups=owners),
        training,
        held_out,
        elsewhere,
        sources=translated,
        mapped=_at_most(_mapped(of_class), limit, seed),
        training_known=known,
        untrained=trained_by is not None and trained_by.untrained,
    )


def _of_class(frame: pd.DataFrame, label: str, search: str) -> pd.DataFrame:
    """The films of a class with numbers `film` and `person`, equal where two rows are one film, or one
    person's (`joining.join`): public sets publish each other's films under names of their own.

    Films that cannot be read or show nothing are left out. Raises `MissingSource` where none is left.
    """
    of_class = frame[frame["label"] == label].reset_index(drop=True).assign(reason="")
    joined = joining.join(of_class, [], search=search) if len(of_class) else None
    if joined is not None:
        of_class = of_class.iloc[joined.used].assign(film=joined.films, person=joined.patients)
        of_class = of_class[of_class["reason"] == ""].reset_index(drop=True)
    if not len(of_class):
        raise MissingSource(
            f"no real {label} films to compare with",
            found=", ".join(sorted(set(frame["source_dataset"]))),
            expected=f"a set with {label} films",
            hint="give another --root or --label",
        )
    return of_class


def _persons(what: str, rows: pd.DataFrame) -> FilmSet:
    """Films whose groups are persons across all sets, each named after the first patient of the rows."""
    named = rows.groupby("person")["patient_id"].transform("first")
    return replace(of_frame(what, rows), groups=tuple(named))


def _mapped(rows: pd.DataFrame) -> FilmSet:
    """The films of which a set gives a map of the lesions, without those that the priors were fitted to."""
    if "mask_path" not in rows.columns:
        return _persons("real films with maps of lesions", rows[:0])
    there = rows["mask_path"].map(lambda path: isinstance(path, str) and path != "")
    kept = rows[there & ~rows["image_id"].map(priors.fitted_on)]
    paths = kept["mask_path"].tolist()
    films = _persons("real films with maps of lesions", kept)
    return replace(films, map_cell=lambda place: {"bytes": None, "path": paths[place]})


def _at_most(films: FilmSet, limit: int | None, seed: int) -> FilmSet:
    return films if limit is None else films.draw(limit, seed)


def _sources(synthetic: FilmSet, frame: pd.DataFrame) -> FilmSet:
    """The films that the images are translations of."""
    wanted = set(synthetic.origins) - {""}
    return of_frame("source films", frame[frame["image_id"].isin(wanted)])
