"""Changes from one version of a released dataset to another: rows, files, and their sources.

Shards are read in batches and no picture is decoded. A row is kept as 8-byte digests of its columns, so
memory grows by about a hundred bytes a row, whatever the size of the images.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.errors import CorruptRelease
from covid_synth_data.escaping import terminal
from covid_synth_data.release import card_yaml, manifest, references, shards

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[int, int], None]
Digests = npt.NDArray[np.uint64]

SHOWN: Final = 20
"""Names that a report gives of each kind; counts are of all."""

PIXELS: Final = "image"
KEY: Final = "image_id"


@dataclass(frozen=True)
class Change:
    """A value that differs; None where one side does not have it."""

    key: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class RowChanges:
    """Rows of a subset, told apart by `image_id`.

    `images` counts those whose encoded image differs, `columns` those that differ in each other column that
    both versions have. `examples` has the first names of each kind: added, removed, changed.
    """

    old: int
    new: int
    added: int
    removed: int
    images: int
    columns: dict[str, int]
    examples: dict[str, list[str]]

    @property
    def same(self) -> bool:
        """Whether both versions hold the same rows."""
        return not (self.added or self.removed or self.images or self.columns)


@dataclass(frozen=True)
class Difference:
    """The result of `diff`. `old` and `new` name the versions; empty lists and tables mean no change."""

    old: str
    new: str
    rows: dict[str, RowChanges]
    columns: list[Change] = field(default_factory=list)
    configs: list[Change] = field(default_factory=list)
    weights: list[Change] = field(default_factory=list)
    recipe: list[Change] = field(default_factory=list)
    sources: list[Change] = field(default_factory=list)
    licences: list[Change] = field(default_factory=list)
    code: list[Change] = field(default_factory=list)
    other_files: list[Change] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether nothing at all differs, the version's name and its documents included."""
        return self.old == self.new and not any(getattr(self, kind) for kind in KINDS) and self.same_rows

    @property
    def same_rows(self) -> bool:
        """Whether every row is the same in both."""
        return all(rows.same for rows in self.rows.values())

    def json(self) -> str:
        """For a script."""
        return json.dumps({**asdict(self), "same": self.same}, indent=1)

    def text(self) -> str:
        """For people: a line for each kind that changed, with examples below it."""
        lines = [f"{self.old} -> {self.new}", ""]
        for name, rows in self.rows.items():
            kinds = [
                f"{rows.added:,} added",
                f"{rows.removed:,} removed",
                f"{rows.images:,} with other images",
            ]
            kinds += [f"{count:,} with another {column}" for column, count in rows.columns.items()]
            summary = "the same rows" if rows.same else ", ".join(kind for kind in kinds if kind[:2] != "0 ")
            lines.append(f"rows        {name}: {rows.old:,} -> {rows.new:,}: {summary}")
            for kind, names in rows.examples.items():
                lines.append(f"            {kind}: {', '.join(names)}")
        for kind in KINDS:
            changes = getattr(self, kind)
            title = f"{kind.replace('_', ' '):<12}"
            lines += [f"{title}no change"] if not changes else []
            for change in changes:
                old, new = (value if value is not None else "(none)" for value in (change.old, change.new))
                lines.append(f"{title}{change.key}: {old} -> {new}")
        return "\n".join(terminal(line) for line in lines)


KINDS: Final = ("columns", "configs", "weights", "recipe", "sources", "licences", "code", "other_files")


def diff(old: str | Path, new: str | Path, progress: Progress | None = None) -> Difference:
    """The changes from `old` to `new`, each a release folder or "ORG/NAME@v1.0.0".

    `progress` gets (rows read, all rows). Raises `ReleaseError` for a folder that is no release,
    `CorruptRelease` where files are not what their manifest says, `HubError`.
    """
    folders = [references.resolve(version, (card_yaml.CARD,)) for version in (old, new)]
    before, after = (manifest.read(folder) for folder in folders)
    total = sum(file.rows or 0 for listed in (before, after) for file in listed.files)
    done = 0

    def tick(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    rows, columns = {}, []
    for name in sorted({*before.subsets, *after.subsets}):
        tables = [_Table.read(*side, name, tick) for side in zip(folders, (before, after), strict=True)]
        rows[name] = _row_changes(*tables)
        if all(table.columns for table in tables):
            columns += _changes(tables[0].columns, tables[1].columns, f"{name}.")
    return Difference(
        old=f"{before.name} {before.version}",
        new=f"{after.name} {after.version}",
        rows=rows,
        columns=columns,
        configs=_changes(_configs(folders[0]), _configs(folders[1])),
        weights=_changes(_files(before, weights=True), _files(after, weights=True)),
        recipe=_changes(_recipes(before), _recipes(after)),
        sources=_changes(_sources(before), _sources(after)),
        licences=_changes(_licences(before), _licences(after)),
        code=_changes(_code(before), _code(after)),
        other_files=_changes(_files(before, weights=False), _files(after, weights=False)),
    )


@dataclass
class _Table:
    """The rows of a subset as digests: one array per column, all in the same order, sorted by the key."""

    folder: Path
    files: list[manifest.File]
    columns: dict[str, str]
    digests: dict[str, Digests]

    @classmethod
    def read(
        cls, folder: Path, listed: manifest.Manifest, subset: str, tick: Callable[[int], None]
    ) -> _Table:
        files = shards.of(listed, subset)
        columns: dict[str, str] = {}
        parts: dict[str, list[Digests]] = {}
        for file in files:
            for batch in shards.batches(folder, file):
                here = {field.name: str(field.type) for field in batch.schema}
                if columns and here != columns:
                    raise CorruptRelease(
                        f"{folder / file.path} has other columns than the shards before it",
                        found=", ".join(here)[:120],
                        expected=", ".join(columns)[:120],
                        hint="fetch the release again",
                    )
                columns = here
                for name in columns:
                    parts.setdefault(name, []).append(_digests(batch.column(name), name))
                tick(batch.num_rows)
        digests = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        order = np.argsort(digests[KEY], kind="stable") if digests else np.empty(0, np.int64)
        sorted_ = {name: values[order] for name, values in digests.items()}
        if len(order) and (sorted_[KEY][1:] == sorted_[KEY][:-1]).any():
            raise CorruptRelease(
                f"the subset {subset!r} of {folder} has two rows of one image_id",
                expected="unique names",
                hint="fetch the release again",
            )
        return cls(folder, files, columns, sorted_)

    @property
    def keys(self) -> Digests:
        return self.digests.get(KEY, np.empty(0, np.uint64))

    def names(self, wanted: Digests) -> list[str]:
        """The first `image_id`s, in the order of the rows, whose digests are among `wanted`."""
        names: list[str] = []
        # Sorted once: a look-up that sorts for each batch would take the square of the rows.
        wanted = np.sort(wanted)
        for file in self.files if len(wanted) else []:
            for batch in shards.batches(self.folder, file, [KEY], size=4096):
                column = batch.column(KEY)
                here = _digests(column, KEY)
                place = np.minimum(np.searchsorted(wanted, here), len(wanted) - 1)
                hits = np.flatnonzero(wanted[place] == here)
                names += [str(column[int(i)]) for i in hits[: SHOWN - len(names)]]
                if len(names) >= SHOWN:
                    return names
        return names


def _digests(column: pa.Array, name: str) -> Digests:
    """8 bytes of blake2b per value; of an image the encoded bytes alone, not its file name."""
    import pyarrow.compute as pc

    values = pc.struct_field(column, "bytes") if name == PIXELS else column
    digests = np.empty(len(values), np.uint64)
    for i, value in enumerate(values):
        content = value.as_py()
        raw = content if isinstance(content, bytes) else repr(content).encode("utf-8", "surrogatepass")
        digests[i] = int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "big")
    return digests


def _row_changes(old: _Table, new: _Table) -> RowChanges:
    both, left, right = np.intersect1d(old.keys, new.keys, assume_unique=True, return_indices=True)
    added, removed = np.setdiff1d(new.keys, old.keys), np.setdiff1d(old.keys, new.keys)
    differs = {
        name: old.digests[name][left] != new.digests[name][right]
        for name in old.columns
        if name in new.columns and name != KEY
    }
    changed = np.zeros(len(both), bool)
    for mask in differs.values():
        changed |= mask
    examples = {"added": new.names(added), "removed": old.names(removed), "changed": new.names(both[changed])}
    images = differs.pop(PIXELS, np.zeros(0, bool))
    return RowChanges(
        old=len(old.keys),
        new=len(new.keys),
        added=len(added),
        removed=len(removed),
        images=int(images.sum()),
        columns={name: int(mask.sum()) for name, mask in differs.items() if mask.any()},
        examples={kind: names for kind, names in examples.items() if names},
    )


def _changes(old: Mapping[str, str], new: Mapping[str, str], prefix: str = "") -> list[Change]:
    keys = [*old, *(key for key in new if key not in old)]
    return [Change(prefix + key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def _configs(folder: Path) -> dict[str, str]:
    return {name: ", ".join(patterns) for name, patterns in sorted(card_yaml.configs(folder).items())}


def _files(listed: manifest.Manifest, *, weights: bool) -> dict[str, str]:
    """sha256 of the weights, or of all files that are neither weights nor shards."""
    return {
        file.path: file.sha256
        for file in sorted(listed.files, key=lambda file: file.path)
        if not file.subset and file.path.endswith(".safetensors") == weights
    }


def _recipes(listed: manifest.Manifest) -> dict[str, str]:
    return {
        f"{name}.{key}": value
        for name, subset in sorted(listed.subsets.items())
        for key, value in _flat(subset.recipe)
    }


def _sources(listed: manifest.Manifest) -> dict[str, str]:
    return {
        f"{name}.{source}": f"{films.films} films {films.sha256[:16]}"
        for name, subset in sorted(listed.subsets.items())
        for source, films in sorted(subset.sources.items())
    }


def _licences(listed: manifest.Manifest) -> dict[str, str]:
    licences = {name: ", ".join(subset.licences) for name, subset in sorted(listed.subsets.items())}
    return licences | ({"restricted": ", ".join(listed.restricted)} if listed.restricted else {})


def _code(listed: manifest.Manifest) -> dict[str, str]:
    code: dict[str, str] = {}
    for name, subset in sorted(listed.subsets.items()):
        code |= {f"{name}.code": subset.code_version, f"{name}.git": subset.git or "(none)"}
        code |= {f"{name}.device": subset.device} if subset.device else {}
        code |= {f"{name}.{library}": version for library, version in sorted(subset.libraries.items())}
    return code


def _flat(content: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Key paths with dots to values as JSON; nested tables of any depth."""
    waiting: list[tuple[str, Any]] = list(reversed(list(content.items())))
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting += reversed([(f"{key}.{inner}", below) for inner, below in value.items()])
        else:
            yield key, json.dumps(value, sort_keys=True)
