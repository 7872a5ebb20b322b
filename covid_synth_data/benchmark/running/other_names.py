"""Tested films that are films behind a config under another name.

A release names the films that its generators learned from as their sets do. Another set, or a folder of the
user, may hold copies of these films under names of its own, which no comparison of names finds, and an image
that was translated from a film need not look like it. So the films themselves are compared, where they are
here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from covid_synth_data.errors import LeakError
from covid_synth_data.files.pixels import file_of
from covid_synth_data.sources import BUILT_IN, list_sources, own, read_source, source_status
from covid_synth_data.sources.patients import canonical_id
from covid_synth_data.splits import duplicates, leaks
from covid_synth_data.splits.copies import Progress, quiet

if TYPE_CHECKING:
    import datasets

    from covid_synth_data.release.manifest import Learned

NAMED: Final = 5
"""Copies that the error names one by one."""


class OtherNames:
    """Compares the films in validation and test with those behind a config, each config once.

    Films that the task trains on are passed over: the protocol has put their copies on the same side.
    """

    def __init__(
        self, splits: datasets.DatasetDict, root: str | Path | None, progress: Progress = quiet
    ) -> None:
        """`splits` holds the parts of a task; `root` the public sets, as `sources.read_source` takes it."""
        self._progress = progress
        self._splits, self._root, self._own = splits, root, own.declared().keys()
        self._trained = set(splits["train"]["image_id"][:]) if "train" in splits else set()
        self._notes: dict[str, list[str]] = {}

    def check(
        self, config: str, rows: datasets.Dataset, trained_on: Learned, saw: Sequence[str]
    ) -> list[str]:
        """Notes for the result. Raises `LeakError` where a film looks like one behind `config`.

        Behind it are the films that `rows` were made from, those that its generator learned from, and others
        of their patients.

        Parts in `saw` may have some, as for `released.check_generators`.
        """
        if config not in self._notes:
            names = {*trained_on.films, *made_from(rows)}
            self._notes[config] = self._check(config, names, set(trained_on.patients), saw)
        return self._notes[config]

    def _check(
        self, config: str, names: Collection[str], patients: Collection[str], saw: Sequence[str]
    ) -> list[str]:
        # Films of the user that were learned from are compared by name, and phantoms are drawn.
        passed_over = {*self._own, *BUILT_IN}
        names = {name for name in names if name.partition("/")[0] not in passed_over} - self._trained
        if not names:
            return []
        held = {part: self._films(part) for part in ("validation", "test")}
        behind = files_of(names, self._root, patients)
        known = {name: path for name, path in behind.items() if name not in self._trained}
        missing = len(names - known.keys())
        notes = []
        if missing:
            notes.append(
                f"{missing:,} of {len(names):,} films behind {config} are not here: whether tested films are"
                " copies of them was not looked for"
            )
        for part, films in held.items():
            # One known film is named for each of mine.
            lines = [
                f"{name} = {other}" for name, other in dict(copies(known, films, self._progress)).items()
            ]
            if lines and part in saw:
                notes.append(f"{len(lines)} {part} films are copies of films behind {config}")
            elif lines:
                raise LeakError(
                    f"the {part} part has copies of films that {config} was made from or learned from",
                    found=f"{len(lines)}, e.g. {lines[0]}",
                    expected="none",
                    hint="leave the config out, or take these films out where the source is yours",
                    lines=lines[:NAMED],
                )
        return notes

    def _films(self, part: str) -> dict[str, tuple[str, bytes | None]]:
        """The file, or the bytes, of each film of this part."""
        import datasets

        rows = self._splits[part].select_columns(["image_id", "image"])
        read = rows.cast_column("image", datasets.Image(decode=False))[:]
        return {
            name: (file_of(cell["path"] or ""), cell["bytes"])
            for name, cell in zip(read["image_id"], read["image"], strict=True)
        }


def files_of(
    names: Collection[str], root: str | Path | None, patients: Collection[str] = ()
) -> dict[str, str]:
    """By id, the files below `root` of the films `names` and, in their sources, of those of `patients`.

    Films and sources that are not here are left out.
    """
    sources = {name.partition("/")[0] for name in names}
    films: dict[str, str] = {}
    for info in list_sources():
        if info.name not in sources or source_status(info.name, root).folder is None:
            continue
        frame = read_source(info.name, root)
        mine = frame["image_id"].isin(names) | frame["patient_id"].map(canonical_id).isin(patients)
        frame = frame[mine & (frame["path"] != "")]
        films |= dict(zip(frame["image_id"].map(str), frame["path"].map(str), strict=True))
    return films


def made_from(rows: datasets.Dataset) -> set[str]:
    """The `image_id` of the real films that `rows` state as their sources."""
    stated = zip(*leaks.values_of(rows, "source_dataset", "source_id"), strict=True)
    return {f"{source}/{name}" for source, name in stated if source and name}


def copies(
    known: dict[str, str], films: dict[str, tuple[str, bytes | None]], progress: Progress = quiet
) -> list[tuple[str, str]]:
    """Each of `films` with each known film of another name that it looks like, by id.

    `known` has the file of each, `films` the file or the bytes.
    """
    if not known or not films:
        return []
    paths, contents = zip(*films.values(), strict=True)
    prints = duplicates.fingerprints([*known.values(), *paths], [*([None] * len(known)), *contents], progress)
    pairs = duplicates.between(prints, len(known), duplicates.SAME_FILM, progress).tolist()
    theirs, mine = list(known), list(films)
    named = [(mine[second - len(known)], theirs[first]) for first, second in pairs]
    return sorted(pair for pair in named if pair[0] != pair[1])
