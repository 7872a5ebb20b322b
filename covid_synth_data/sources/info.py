"""Facts about a source that are known before any of its files is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SourceInfo:
    """A public set of chest X-rays or CT slices.

    `classes` are the labels (of `schema.LABELS`) that it has, `licence` the licence of all its images or
    "per image", `folders` the names under which its folder is looked for in a root, `expected_images` the
    number of images of the full public original. `markers` are paths inside the set's folder; where all of
    them exist, the root itself is taken for that folder, whatever its name is; `other_markers` are those of a
    second layout of the same set. Where the first of `markers` is a table, a root of another name is taken
    for the set only if that table has `columns`: many folders hold a metadata.csv.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    licence: str
    licence_note: str
    citation: str
    homepage: str
    how_to_obtain: str
    folders: tuple[str, ...]
    expected_images: int
    markers: tuple[str, ...] = ()
    other_markers: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceStatus:
    """The part of a source that a root holds.

    `folder` is None where it has none of it. `images` counts the rows with an image, `missing` those whose
    image file is not there. `problem` is the one-line error where the set is there but cannot be read,
    otherwise ""; `summary` is one line for people.
    """

    name: str
    folder: Path | None
    images: int
    expected: int
    missing: int
    summary: str
    problem: str = ""
