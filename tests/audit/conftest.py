"""Sets of small films with known answers, and an extractor that costs nothing."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from covid_synth_data.audit.contract import Context, Material
from covid_synth_data.audit.descriptors import Descriptors
from covid_synth_data.audit.films import FilmSet
from covid_synth_data.audit.result import Subject
from covid_synth_data.sources import phantom


class TinyExtractor:
    """8 x 8 averages of a film of 224 x 224 less their mean, as 64 features."""

    name = "tiny"
    width = 64
    sha256 = "0" * 64

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, films: np.ndarray) -> np.ndarray:
        self.seen += len(films)
        small = films.reshape(len(films), 8, 28, 8, 28).mean(axis=(2, 4)).reshape(len(films), -1)
        return ((small - small.mean(axis=1, keepdims=True)) / 10).astype(np.float32)


def noise(n: int, seed: int, side: int = 64) -> list[np.ndarray]:
    """Films of smooth noise, each unlike any other."""
    random = np.random.default_rng([5, seed])
    coarse = random.integers(20, 236, (n, 12, 12), dtype=np.uint8)
    return [
        np.asarray(Image.fromarray(film).resize((side, side), Image.Resampling.BICUBIC)) for film in coarse
    ]


def film_set(
    what: str,
    films: Sequence[np.ndarray],
    name: str,
    *,
    dataset: str = "set-a",
    each: int = 1,
    origins: Sequence[str] = (),
    groups: Sequence[str] = (),
) -> FilmSet:
    """A set of films as PNG in memory; `each` films of a patient."""
    contents = []
    for film in films:
        file = io.BytesIO()
        Image.fromarray(film).save(file, "PNG")
        contents.append(file.getvalue())
    n = len(contents)
    return FilmSet(
        what,
        tuple(f"{name}/{place}" for place in range(n)),
        tuple(groups) or tuple(f"{name}:{place // each}" for place in range(n)),
        (dataset,) * n,
        lambda place: {"bytes": contents[place], "path": None},
        tuple(origins),
        ("full",) * n if origins else (),
    )


def values(found, key: str, subject: str | None = None) -> dict[str, object]:
    """The values of a metric by subject."""
    # The first is that of all films; a smaller yardstick brings a second one.
    return {value.subject: value for value in reversed(found.values) if value.key == key}


def material(
    synthetic: FilmSet,
    training: FilmSet,
    held_out: FilmSet,
    elsewhere: FilmSet | None = None,
    sources: FilmSet | None = None,
    mapped: FilmSet | None = None,
    known: bool = True,
) -> Material:
    """The films of an audit."""
    empty = film_set("no films", [], "none")
    return Material(
        Subject(
            name="covid-synth-cxr", config="gnc", version="1.0.0", manifest_sha256=None, label="covid-19"
        ),
        synthetic,
        training,
        held_out,
        elsewhere or empty,
        sources or empty,
        mapped or empty,
        known,
    )


@pytest.fixture
def extractor() -> TinyExtractor:
    return TinyExtractor()


@pytest.fixture
def context(extractor, tmp_path):
    """A context of the films of an audit."""

    def make(films: Material, seed: int = 0) -> Context:
        return Context(films, Descriptors(extractor, folder=tmp_path / "descriptors"), seed)

    return make


@pytest.fixture(scope="session")
def drawn() -> list[np.ndarray]:
    """Phantoms of 60 patients: films with lungs."""
    return [phantom.draw("covid-19", 64, 0, patient, 1) for patient in range(60)]
