"""`manifest.json` of a release: what is in it, byte for byte, and what it was made from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, field_validator

from covid_synth_data.errors import CorruptRelease, ReleaseError
from covid_synth_data.files import lfs
from covid_synth_data.files.atomic import write_text
from covid_synth_data.files.fields import Line, Name, PathInside, Sha256
from covid_synth_data.files.models import FrozenModel, invalid

NAME: Final = "manifest.json"

MAX_BYTES: Final = 64 * 2**20
"""A manifest of 100,000 films has about 10 MB; one far above that is a mistake or an attack."""

MAX_ROWS: Final = 10_000_000
"""Rows of a release or shard that are believed at most; ours have tens of thousands."""

Count = Annotated[int, Field(ge=0)]
Rows = Annotated[int, Field(ge=0, le=MAX_ROWS)]


class File(FrozenModel):
    """A file of the release: POSIX path relative to its folder, size in bytes, rows where it is a shard."""

    path: PathInside
    sha256: Sha256
    size: Count
    rows: Rows | None = None
    subset: Name | None = None


class SourceFilms(FrozenModel):
    """The real films of one source: how many, and sha256 over their ids and file contents."""

    films: Count
    sha256: Line


class Learned(FrozenModel):
    """The training films of a generator: `image_id`s, with other names of the same films, and `patient_id`s.

    A benchmark must not test on them, and the rows of the dataset do not name the films of the target class.
    """

    films: list[str]
    patients: list[str]


class Imported(FrozenModel):
    """Statements about images that were made elsewhere.

    `form` is the kind of files they came in. `learned_from` says whether it is stated what real films the
    generator learned from: where it is "unknown", an empty list of films is no promise. `size` is the
    width and height of the images in pixels.
    """

    form: Line
    learned_from: Literal["stated", "unknown"]
    size: Annotated[list[Count], Field(min_length=2, max_length=2)]


class Subset(FrozenModel):
    """The lineage of one subset.

    `recipe` is the recipe as read, `weights` the path of a file (None for a generator without), `device` the
    kind of machine that the network ran on, as `torch` names it (None where an older release does not say).
    `imported` is there for images that were made elsewhere.
    """

    rows: Rows
    generator: Line
    weights: PathInside | None = None
    recipe: dict[str, Any] = Field(default_factory=dict)
    sources: dict[Line, SourceFilms]
    learned_from: Learned
    licences: list[Line]
    code_version: Line
    git: Line
    libraries: dict[Line, Line]
    device: Line | None = None
    imported: Imported | None = None


class Manifest(FrozenModel):
    """The whole file. `format` is raised when a reader of this version could misunderstand a newer one.

    `restricted` names the licences among those of the subsets that do not allow reuse under our terms
    (NC, ND, SA, unknown): a release that has any is no release of the project's own. `images` is the digest
    that results name this release by; see `identity`.
    """

    format: Literal[1]
    name: Line
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    subsets: dict[Name, Subset]
    files: list[File]
    restricted: list[Line] = Field(default_factory=list)
    images: Sha256 | None = None

    @field_validator("files")
    @classmethod
    def _each_once(cls, files: list[File]) -> list[File]:
        if len({file.path for file in files}) < len(files):
            raise ValueError("each path once")
        return files

    def same_images(self, subsets: Iterable[str], version: str) -> bool:
        """Whether `version` of this dataset has the images that these subsets have in this one.

        Shards never change: a subset has the same images from the version that its recipe names on, and what
        was measured on them since holds for this version too. Without a recipe another version has others.
        """
        since = (self._since(name) for name in subsets)
        return all(
            first is not None and order(first) <= order(version) <= order(self.version) for first in since
        )

    def _since(self, subset: str) -> str | None:
        if subset not in self.subsets:
            return None
        release = self.subsets[subset].recipe.get("release") or {}
        return str(release.get("version", self.version))


def order(version: str) -> tuple[int, ...]:
    """By what versions are compared: 1.10.0 is newer than 1.9.0."""
    return tuple(int(part) for part in version.split("."))


def read(folder: Path) -> Manifest:
    """The manifest of the release `folder`. Raises `ReleaseError`, or `CorruptRelease` when unreadable."""
    path = folder / NAME
    if not path.is_file():
        raise ReleaseError(
            f"{folder} is not a release",
            found=f"no {NAME}" if folder.is_dir() else "no such folder",
            expected=f"a folder with {NAME}",
            hint="check the path",
        )
    if not is_inside(folder, NAME) or path.stat().st_size > MAX_BYTES:
        raise CorruptRelease(
            f"{path} is no manifest of ours",
            found=f"{path.stat().st_size:,} bytes" if is_inside(folder, NAME) else "a symbolic link",
            expected=f"a file of at most {MAX_BYTES:,} bytes",
            hint="fetch the release again",
        )
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        what, hint = f"{path} cannot be read", "fetch the release again"
        if lfs.is_pointer(path):
            raise CorruptRelease(
                what, found=lfs.FOUND, expected=f"the {NAME} of a release", hint=lfs.HINT
            ) from error
        if isinstance(error, ValidationError):
            raise invalid(CorruptRelease, what, error, Manifest, hint) from error
        raise CorruptRelease(
            what, found=str(error), expected=f"the {NAME} of a release", hint=hint
        ) from error


def identity(folder: Path) -> str:
    """The digest by which results name the release `folder`.

    It is that of its manifest, as it was before cards were written again: a card shows results, so it cannot
    be part of what results name. Raises `ReleaseError`, `CorruptRelease`.
    """
    return read(folder).images or hashlib.sha256((folder / NAME).read_bytes()).hexdigest()


def is_inside(folder: Path, path: str) -> bool:
    """Whether `folder`/`path` is reached without a symbolic link, wherever that would lead.

    The Hub's cache keeps a snapshot as links into its own folder `blobs`; these count as files.
    """
    home, real = Path(os.path.realpath(folder)), Path(os.path.realpath(folder / path))
    cached = home.parent.name == "snapshots" and real.parent == home.parent.parent / "blobs"
    return cached or real == home / path


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, atomically; files sorted by path so that equal content gives equal bytes."""
    content = manifest.model_dump(exclude_none=True)
    for name, subset in manifest.subsets.items():  # a null of the recipe is a value
        content["subsets"][name]["recipe"] = subset.recipe
    content["files"] = sorted(content["files"], key=lambda file: file["path"])
    write_text(folder / NAME, json.dumps(content, indent=1, sort_keys=True) + "\n")
