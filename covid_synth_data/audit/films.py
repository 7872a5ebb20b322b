"""A set of films of an audit: names, patients, and pixels that are decoded when they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from covid_synth_data.errors import ConfigError
from covid_synth_data.files.pixels import Grey, bytes_of, load_grey

if TYPE_CHECKING:
    import pandas as pd

Cell = Mapping[str, Any]
Rows = npt.NDArray[np.int64]
Change = Callable[[Grey, int], Grey]
"""A film and its place in the set, to the film that takes its place."""


@dataclass(frozen=True)
class FilmSet:
    """Films in a fixed order.

    `groups` names the patient of a real film, of a translation that of its source, and of other synthetic
    films the film itself. `datasets` names the real set. `origins` are the `image_id`s of the translated
    films and "" elsewhere; `variants` what was translated of them. `cell` gives the undecoded image at a
    place, `map_cell` the map of its lesions: 0 outside of them, up to 255 within. `change` is applied after
    decoding; `changed` is its name, which is part of the key of a film.
    """

    what: str
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    datasets: tuple[str, ...]
    cell: Callable[[int], Cell]
    origins: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    map_cell: Callable[[int], Cell] | None = None
    change: Change | None = None
    changed: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many films."""
        return len(self.ids)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The sha256 of each film: of its encoded bytes, and of what was done to them."""
        return tuple(self._key(place) for place in range(len(self)))

    def _key(self, place: int) -> str:
        cell = self.cell(place)
        digest = hashlib.sha256(bytes_of(cell, self.ids[place])).hexdigest()
        return (
            hashlib.sha256(f"{digest} {self.changed[place]}".encode()).hexdigest() if self.changed else digest
        )

    def grey(self, place: int, size: int | None = None) -> Grey:
        """The film at a place, uint8 (h, w), or (size, size). Raises `BadImage`."""
        film = load_grey(self.cell(place), None if self.change else size, name=self.ids[place])
        return film if self.change is None else self.change(film, place)

    def lesions(self, place: int) -> Grey:
        """The map of the lesions of the film at a place, uint8 (h, w); 0 where there are none.

        Raises `ConfigError` for films without maps, `BadImage`.
        """
        if self.map_cell is None:
            raise ConfigError("films without maps of lesions", found=self.what, expected="films with maps")
        return load_grey(self.map_cell(place), name=f"the map of {self.ids[place]}")

    def take(self, places: Sequence[int] | Rows) -> FilmSet:
        """The films at these places."""
        at = [int(place) for place in places]
        cell, change, map_cell = self.cell, self.change, self.map_cell
        return replace(
            self,
            ids=tuple(self.ids[i] for i in at),
            groups=tuple(self.groups[i] for i in at),
            datasets=tuple(self.datasets[i] for i in at),
            origins=tuple(self.origins[i] for i in at) if self.origins else (),
            variants=tuple(self.variants[i] for i in at) if self.variants else (),
            cell=lambda place: cell(at[place]),
            map_cell=None if map_cell is None else (lambda place: map_cell(at[place])),
            change=None if change is None else (lambda film, place: change(film, at[place])),
            changed=tuple(self.changed[i] for i in at) if self.changed else (),
        )

    def draw(self, n: int, seed: int) -> FilmSet:
        """At most `n` films, which the ids and the seed decide; in their order."""
        return self if n >= len(self) else self.take(self.drawn(n, seed))

    def drawn(self, n: int, seed: int) -> Rows:
        """The places of at most `n` films, in increasing order."""
        if n >= len(self):
            return np.arange(len(self))
        marks = [hashlib.sha256(f"{seed} {name}".encode()).digest() for name in self.ids]
        return np.array(sorted(sorted(range(len(self)), key=marks.__getitem__)[:n]), np.int64)

    def altered(self, name: str, change: Change, details: Sequence[str] | None = None) -> FilmSet:
        """The same films changed by a pure function; `name` and the `details` of each film say how.

        A changed set cannot be changed again.
        """
        if self.change is not None:
            raise ConfigError("films that were changed before", found=self.what, expected="films as they are")
        each = details if details is not None else [""] * len(self)
        return replace(
            self, what=f"{self.what}, {name}", change=change, changed=tuple(f"{name} {text}" for text in each)
        )


def joined(what: str, *sets: FilmSet) -> FilmSet:
    """Several sets, none of them changed, one after the other."""
    owners = [(films, place) for films in sets for place in range(len(films))]

    def cell(place: int) -> Cell:
        films, at = owners[place]
        return films.cell(at)

    return FilmSet(
        what,
        tuple(name for films in sets for name in films.ids),
        tuple(name for films in sets for name in films.groups),
        tuple(name for films in sets for name in films.datasets),
        cell,
    )


def of_frame(what: str, frame: pd.DataFrame) -> FilmSet:
    """The rows of a frame of `sources.table` whose films are there."""
    paths, contents = frame["path"].tolist(), frame["bytes"].tolist()

    def cell(place: int) -> Cell:
        content = contents[place]
        return {"bytes": content if isinstance(content, bytes) else None, "path": paths[place] or None}

    return FilmSet(
        what, tuple(frame["image_id"]), tuple(frame["patient_id"]), tuple(frame["source_dataset"]), cell
    )
