"""The leak check: patients, films, files and copies that two parts of a split share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from covid_synth_data import schema
from covid_synth_data.errors import BadImage, LeakError
from covid_synth_data.files.pixels import bytes_of, content_of, file_of
from covid_synth_data.metrics import approximate
from covid_synth_data.sources import patients
from covid_synth_data.splits import copies as copy_search
from covid_synth_data.splits import duplicates
from covid_synth_data.splits.copies import Progress, quiet

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class LeakReport:
    """The items that each pair of parts shares. It is true if there is a leak.

    `search` says how films that look the same were looked for: "exact", or the settings of an approximate
    search, which may have missed some.
    """

    found: dict[tuple[str, str], dict[str, list[str]]] = field(default_factory=dict)
    search: str = approximate.EXACT

    def __bool__(self) -> bool:
        """Whether anything leaks."""
        return bool(self.found)

    def summary(self) -> str:
        """One line."""
        shared = [
            f"{a} and {b} share {len(names)} {what} (e.g. {names[0]})"
            for (a, b), kinds in self.found.items()
            for what, names in kinds.items()
        ]
        looked = [] if self.search == approximate.EXACT else [f"search for copies: {self.search}"]
        return "; ".join(shared + looked)


def find_leaks(
    splits: Mapping[str, datasets.Dataset],
    *,
    pixels: bool = True,
    search: str = approximate.EXACT,
    progress: Progress = quiet,
) -> LeakReport:
    """Everything that two parts of a split share: patients, rows, source films, equal files and copies.

    Works on real, synthetic and mixed sets: a synthetic row counts for the film it was made from. With
    `pixels` the image files are read and compared byte for byte. Films of real sets are also compared by
    their appearance, with the threshold of the protocols (`duplicates.SAME_FILM`); phantoms and synthetic
    rows are not, as many of them look alike by design. Rows need `image_id`. `search` is "exact" or
    "approximate", which is meant for very many films and may miss copies; the report says which. `progress`
    gets (done, all, of what) while films are read and compared. Raises `UnknownName`, `MissingExtra`.
    """
    approximate.wanted(search)
    splits = {name: schema.rows(part, "image_id") for name, part in splits.items()}
    identities = {name: _identities(part, pixels) for name, part in splits.items()}
    names = list(splits)
    copies = _copies(splits, search, progress) if pixels else {}
    leaks: dict[tuple[str, str], dict[str, list[str]]] = {}
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            shared = {
                what: _shared(identities[a][what], identities[b].get(what, {})) for what in identities[a]
            }
            shared["films that look the same"] = copies.get((a, b), [])
            if any(shared.values()):
                leaks[a, b] = {what: values for what, values in shared.items() if values}
    return LeakReport(leaks, copy_search.settings(search))


def _copies(
    splits: Mapping[str, datasets.Dataset], search: str, progress: Progress
) -> dict[tuple[str, str], list[str]]:
    """Per pair of parts the films of one that look the same as one of the other, under other names."""
    parts = {name: _real(part) for name, part in splits.items() if "image" in part.column_names}
    owners = [name for name, (ids, _) in parts.items() for _ in ids]
    ids = [name for names, _ in parts.values() for name in names]
    cells = [cell for _, cells in parts.values() for cell in cells]
    copies: dict[tuple[str, str], list[str]] = {}
    if not cells:
        return copies
    films = duplicates.fingerprints(
        [file_of(cell["path"] or "") for cell in cells], [cell["bytes"] for cell in cells], progress
    )
    for first, second in duplicates.pairs(films, duplicates.SAME_FILM, progress, search=search).tolist():
        equal = films.digests[first] == films.digests[second]
        if owners[first] != owners[second] and ids[first] != ids[second] and not equal:
            key = (owners[first], owners[second])
            copies.setdefault(key, []).append(f"{ids[first]} = {ids[second]}")
    return copies


def _real(part: datasets.Dataset) -> tuple[list[str], list[Any]]:
    """`image_id` and undecoded image of the rows that are films of real sets."""
    import datasets

    columns = values_of(part, "generator", "source_dataset")
    rows = [
        row
        for row, (generator, source) in enumerate(zip(*columns, strict=True))
        if not generator and source != "phantom"
    ]
    if not rows:
        return [], []
    kept = part.select(rows).select_columns(["image_id", "image"])
    read = kept.cast_column("image", datasets.Image(decode=False))[:]
    return list(read["image_id"]), list(read["image"])


def _shared(mine: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    """The names of what both hold; both names where they differ."""
    both = mine.keys() & others.keys()
    return sorted(mine[key] if mine[key] == others[key] else f"{mine[key]} = {others[key]}" for key in both)


def check_leaks(
    splits: Mapping[str, datasets.Dataset],
    *,
    pixels: bool = True,
    search: str = approximate.EXACT,
    progress: Progress = quiet,
) -> None:
    """Raise `LeakError` with what `find_leaks` finds, in one line."""
    leaks = find_leaks(splits, pixels=pixels, search=search, progress=progress)
    if leaks:
        raise LeakError(
            "training, validation and test films are not separate",
            found=leaks.summary(),
            expected="no patient and no film in two parts",
            hint="use the protocol clean, or take the films that are named out",
        )


def _identities(part: datasets.Dataset, pixels: bool) -> dict[str, dict[str, str]]:
    """Identities of the patients and films of a part, by kind: each identity and how to name it."""
    import datasets

    patient_ids, image_ids, *source_films = values_of(
        part, "patient_id", "image_id", "source_dataset", "source_id"
    )
    films = {
        f"{source}/{name}"
        for source, name in zip(*source_films, strict=True)
        if source is not None and name is not None
    }
    identities = {
        "patients": {patients.canonical_id(value): value for value in patient_ids if value is not None},
        "rows": {value: value for value in image_ids},
        "source films": {value: value for value in films},
    }
    if pixels and "image" in part.column_names:
        cells = part.select_columns(["image"]).cast_column("image", datasets.Image(decode=False))["image"]
        identities["equal files"] = {
            hashlib.sha256(_read(cell)).hexdigest(): name for cell, name in zip(cells, image_ids, strict=True)
        }
    return identities


def values_of(part: datasets.Dataset, *names: str) -> list[list[Any]]:
    """The values of the columns `names`, None for each row where `part` has no such column.

    All are read at once: each column read by itself takes a copy of the Dataset, each row much more.
    """
    there = [name for name in names if name in part.column_names]
    read = part.select_columns(there)[:] if there else {}
    return [list(read[name]) if name in there else [None] * len(part) for name in names]


def _read(cell: Mapping[str, Any]) -> bytes:
    """The encoded image of an undecoded cell. Raises `BadImage`."""
    try:
        return bytes_of(cell)
    except OSError as error:
        raise BadImage(
            f"cannot read {file_of(cell['path'])}",
            found=str(error.strerror).lower(),
            expected="an image file",
            hint="the source changed since the split was made; make it again",
        ) from error


def near_duplicates(
    a: datasets.Dataset,
    b: datasets.Dataset,
    threshold: float = duplicates.SAME_FILM,
    *,
    search: str = approximate.EXACT,
) -> list[tuple[str, str]]:
    """Pairs (image_id of `a`, image_id of `b`) of films that look the same; decodes all of both.

    `search` is that of `find_leaks`.
    """
    import datasets

    ids, cells = [], []
    for part in (schema.rows(a, "image", "image_id"), schema.rows(b, "image", "image_id")):
        ids += part["image_id"][:]
        cells += list(
            part.select_columns(["image"]).cast_column("image", datasets.Image(decode=False))["image"][:]
        )
    for cell, name in zip(cells, ids, strict=True):
        content_of(cell, name)  # refuses a row without an image
    prints = duplicates.fingerprints(
        [file_of(cell["path"] or "") for cell in cells], [cell["bytes"] for cell in cells]
    )
    pairs = duplicates.pairs(prints, threshold, search=search)
    across = pairs[(pairs[:, 0] < len(a)) & (pairs[:, 1] >= len(a))]
    return [(ids[i], ids[j]) for i, j in across.tolist()]
