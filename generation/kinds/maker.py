"""The rows of a release and how each row is made: the part that all kinds share."""

from __future__ import annotations

import contextlib
import hashlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from covid_synth_data import machine
from covid_synth_data.errors import BadImage, CorruptRelease, MissingSource, WeightsError
from covid_synth_data.files.pixels import Grey, bytes_of, file_of, load_grey
from covid_synth_data.release import crops
from covid_synth_data.release.crops import WHOLE, Crop
from covid_synth_data.release.manifest import Learned, SourceFilms

if TYPE_CHECKING:
    import datasets

    from covid_synth_data.generators.trained import Trained
    from covid_synth_data.generators.weights import Card

WORKERS: Final = 2

LINEAGE: Final = ("source_dataset", "source_id", "source_class", "source_license")
"""The columns that say what an image was made from."""


@dataclass(frozen=True)
class Row:
    """One image to make: its number in the subset, the index of its source image if any, and its variant."""

    index: int
    source: int | None = None
    variant: str = "full"


class Made(NamedTuple):
    """Images uint8 (n, size, size), and for each image further columns, such as `mask`."""

    images: Grey
    columns: list[dict[str, Any]]


class Maker(ABC):
    """Makes the images of a release, and knows what they come from."""

    libraries: ClassVar[Sequence[str]] = ("torch", "pillow")
    """Libraries whose versions affect the pixels."""

    rows: list[Row]
    sources: dict[str, SourceFilms]
    licences: list[str]
    """Licences of the images that rows are made from."""
    name: str
    """Name of the generator: architecture and tag."""
    device: str
    """The device, which determines rounding, e.g. "cpu x86_64 AVX2"."""
    weights: Path | None = None
    card: Card | None = None

    @abstractmethod
    def make(self, rows: Sequence[Row]) -> contextlib.closing[Generator[Made]]:
        """The images of `rows` in order, batch by batch."""

    @abstractmethod
    def columns(self, row: Row) -> dict[str, Any]:
        """`LINEAGE` and `variant` of a row, and `label` where it is not that of the release."""

    @abstractmethod
    def read_row(self, record: dict[str, Any], index: int) -> Row:
        """The row that a released record says it was made as; `index` is its number in the subset.

        Raises `CorruptRelease` for a record without a lineage, `MissingSource` where its source is missing.
        """

    @abstractmethod
    def used(self) -> set[str]:
        """`image_id`s of the real images that rows are made from."""

    @property
    def trained_on(self) -> Learned:
        """The films and patients that the generator was trained on, as the card of its weights says."""
        if self.card is None:
            return Learned(films=[], patients=[])
        return Learned.model_validate(self.card.training["learned_from"])


class TrainedMaker(Maker):
    """A maker that runs a trained generator."""

    def __init__(self, weights: Path, generator: Trained) -> None:
        """Raises `WeightsError` where the card does not say what the generator was trained on."""
        if "learned_from" not in generator.card.training:
            raise WeightsError(
                f"the card of {weights} does not say which films the generator was trained on",
                found="no training.learned_from",
                expected="a card of this version",
                hint="run the training's command again, it rewrites the card",
            )
        self.weights, self.card, self.name = weights, generator.card, generator.card.name
        self.device = machine.device_kind(generator.device)


class SourceImages:
    """Real films that rows are made from. A film that changes after its fingerprint was taken is refused."""

    def __init__(self, films: datasets.Dataset) -> None:
        """`films` are undecoded rows of a source. Raises `BadImage`."""
        self.films, self.cells = films, list(films["image"])
        keys = list(zip(films["source_dataset"], films["source_id"], strict=True))
        self.index = {key: index for index, key in enumerate(keys)}
        with ThreadPoolExecutor(WORKERS) as pool:
            self._digests = list(pool.map(lambda cell: _digest(_content(cell)), self.cells))
        self.fingerprints = fingerprints(zip(keys, self._digests, strict=True))

    def __len__(self) -> int:
        """How many films."""
        return len(self.cells)

    def read(self, index: int, size: int, crop: Crop = WHOLE) -> Grey:
        """A film cropped and resized: uint8 (size, size). Raises `BadImage`, also where it has changed."""
        content, path = _content(self.cells[index]), self.cells[index].get("path")
        if _digest(content) != self._digests[index]:
            raise BadImage(
                f"{path or self.films[index]['image_id']} changed while the release was made",
                found=f"sha256 {_digest(content)[:12]}",
                expected=f"sha256 {self._digests[index][:12]}",
                hint="leave the real sets alone, and run the same command again",
            )
        return cut({"bytes": content, "path": path}, crop, size)

    def lineage(self, index: int) -> dict[str, Any]:
        """The columns `LINEAGE` of a film."""
        film = self.films[index]
        return {name: film[name] for name in LINEAGE}

    def used(self, rows: Iterable[Row]) -> set[str]:
        """The image ids of the films that `rows` are made from."""
        names = self.films["image_id"]
        return {names[row.source] for row in rows if row.source is not None}

    def find(self, record: dict[str, Any]) -> int:
        """The index of the film that a record names. Raises `MissingSource`."""
        key = (record["source_dataset"], record["source_id"])
        if key not in self.index:
            raise MissingSource(
                f"the film that {record['image_id']} was made from is not at hand",
                found=f"{len(self):,} films of the recipe's source class",
                expected=f"{key[0]}/{key[1]}",
                hint="give --root the sets that the card of the release names, in the state that it names",
            )
        return self.index[key]


def cut(cell: dict[str, Any], crop: Crop, size: int) -> Grey:
    """The film in an undecoded image cell, cropped and resized: uint8 (size, size). Raises `BadImage`."""
    return load_grey(cell, size) if crop == WHOLE else crops.cut(load_grey(cell), crop, size)


def fingerprints(digests: Iterable[tuple[tuple[str, str], str]]) -> dict[str, SourceFilms]:
    """Per source set: the number of images, and sha256 over their ids and digests, sorted by id."""
    lines: dict[str, list[str]] = defaultdict(list)
    for (source, name), digest in digests:
        lines[source].append(f"{name} {digest}\n")
    return {
        source: SourceFilms(films=len(names), sha256=_digest("".join(sorted(names)).encode()))
        for source, names in sorted(lines.items())
    }


def no_lineage(record: dict[str, Any], expected: str) -> CorruptRelease:
    """The error for a record whose variant is none of this kind."""
    return CorruptRelease(
        f"the row {record['image_id']!r:.60} has no lineage",
        found=f"variant {record['variant']!r:.60}",
        expected=expected,
        hint="fetch the release again",
    )


def _content(cell: dict[str, Any]) -> bytes:
    """The bytes of an undecoded image cell. Raises `BadImage`."""
    try:
        return bytes_of(cell)
    except OSError as error:
        raise BadImage(
            f"cannot read {file_of(cell['path'])}", found=str(error), hint="restore that file and run again"
        ) from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
