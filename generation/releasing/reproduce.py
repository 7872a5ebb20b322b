"""Rows of a release made again from their lineage, and compared with the published pixels.

Whole batches are made again, put together as they were when the release was made, because on some devices a
network's last digits depend on what else is in the batch. On the same kind of device with the same versions
of the libraries every pixel must be the same; elsewhere a row passes above `BOUND`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from covid_synth_data import machine
from covid_synth_data.errors import ConfigError, CorruptRelease, MissingSource, ReleaseError
from covid_synth_data.files.models import invalid
from covid_synth_data.files.pixels import Grey, load_grey
from covid_synth_data.generators.trained import LabelTranslator, Sampler, Trained, Translator, load_file
from covid_synth_data.release import manifest, references, shards
from covid_synth_data.release.writing import encode_image
from generation.data import crops
from generation.recipe import PairData, Recipe, Release, SliceRelease, family
from generation.releasing import makers
from generation.releasing.label_maps import LabelMaps

Progress = Callable[[int, int], None]
Row = dict[str, Any]

BOUND: Final = 40.0
"""PSNR in dB that a row made on another kind of device or with other libraries must reach. One grey level in
every pixel is 48 dB, arithmetic in bf16 instead of fp32 about 45; a crop that is off by a hundredth of the
film's side, or another film, is below 25."""

EXACT, CLOSE, DIFFERS = "exact", "close", "differs"
LIBRARIES: Final = ("torch", "pillow")
"""What decides the pixels, beside the device: the network's arithmetic, decoding, resizing and encoding."""

COLUMNS: Final = ("image", "image_id", "subset", "source_dataset", "source_id", "variant")


@dataclass(frozen=True)
class Outcome:
    """A row made again.

    `bytes_equal` compares the encoded files, `largest` is the largest difference in grey levels, `psnr` in
    dB (None where no pixel differs), `verdict` "exact", "close" or "differs".
    """

    image_id: str
    subset: str
    bytes_equal: bool
    largest: int
    psnr: float | None
    verdict: str


@dataclass(frozen=True)
class Films:
    """Whether the films at hand are those that a subset was made from, by source: fingerprints agree."""

    subset: str
    agree: dict[str, bool]


@dataclass(frozen=True)
class Report:
    """What `reproduce` found. `exact` is whether no difference at all was allowed, `why` says why not."""

    release: str
    device: str
    exact: bool
    why: list[str]
    films: list[Films]
    rows: list[Outcome]

    @property
    def passed(self) -> bool:
        """Whether no row differs by more than is allowed."""
        return all(row.verdict != DIFFERS for row in self.rows)

    def json(self) -> str:
        """For a script."""
        return json.dumps({**asdict(self), "bound": BOUND, "passed": self.passed}, indent=1)

    def text(self) -> str:
        """For people: what was required, a table by subset, and the rows that differ."""
        required = "every pixel the same" if self.exact else f"at least {BOUND:g} dB ({'; '.join(self.why)})"
        lines = [f"{self.release}, made again on {self.device}; required: {required}"]
        for one in self.films:
            lines += [
                f"films of {one.subset} from {source}: " + ("as published" if same else "not the same set")
                for source, same in one.agree.items()
            ]
        head = ("subset", "rows", "exact", "close", "differ", "same bytes", "largest", "lowest PSNR")
        lines += ["", "".join(f"{name:>12}" for name in head)]
        groups: dict[str, list[Outcome]] = defaultdict(list)
        for row in self.rows:
            groups[row.subset].append(row)
        for name, rows in groups.items():
            verdicts = [[row.verdict for row in rows].count(kind) for kind in (EXACT, CLOSE, DIFFERS)]
            lowest = min((row.psnr for row in rows if row.psnr is not None), default=None)
            cells = [
                name,
                len(rows),
                *verdicts,
                sum(row.bytes_equal for row in rows),
                max(row.largest for row in rows),
                f"{lowest:.1f} dB" if lowest is not None else "-",
            ]
            lines.append("".join(f"{cell!s:>12}" for cell in cells))
        wrong = [row for row in self.rows if row.verdict == DIFFERS]
        lines += [
            f"differs: {row.image_id}, largest {row.largest}, {row.psnr or 0:.1f} dB" for row in wrong[:10]
        ]
        return "\n".join(lines)


def reproduce(
    reference: str | Path, root: Path | None, rows: int, seed: int, device: str, progress: Progress
) -> Report:
    """Make `rows` rows of a release again, spread over its subsets; the `seed` draws which.

    `reference` is a release folder or "ORG/NAME@v1.0.0", `root` holds the real films. Rows are drawn as
    whole batches, of which the last may be used in part. Raises `ReleaseError`, `CorruptRelease`,
    `WeightsError`, `MissingSource` where a film is not at hand, `BadImage`.
    """
    if rows < 1:
        raise ConfigError("no rows to make again", found=str(rows), expected="at least 1")
    folder = references.resolve(reference, ("weights/",))
    listed = manifest.read(folder)
    shares = _shares({name: subset.rows for name, subset in sorted(listed.subsets.items())}, rows)
    outcomes: list[Outcome] = []
    why: dict[str, None] = {}
    films, used = [], ""
    for number, (name, share) in enumerate(shares.items()):
        job = _job(folder, listed, name, root, device)
        used = machine.device_kind(job.generator.device)
        why |= dict.fromkeys(_unlike(listed.subsets[name], used))
        films.append(Films(name, job.agree))
        for batch in _draw(job, share, np.random.default_rng([seed, number])):
            outcomes += _compare(job, batch, exact=not _unlike(listed.subsets[name], used))
            progress(len(outcomes), sum(shares.values()))
    return Report(f"{listed.name} {listed.version}", used, not why, list(why), films, outcomes)


def _shares(rows: dict[str, int], wanted: int) -> dict[str, int]:
    """How many rows of each subset are made again: equal parts, as far as a subset has them."""
    shares = dict.fromkeys(rows, 0)
    left = min(wanted, sum(rows.values()))
    while left:
        for name in sorted(rows, key=lambda name: shares[name]):
            if left and shares[name] < rows[name]:
                shares[name] += 1
                left -= 1
    return {name: share for name, share in shares.items() if share}


@dataclass(frozen=True)
class _Job:
    """All that rows of one subset are made from; `cells` are undecoded films by source and id, `maker` has
    the label maps of slices."""

    folder: Path
    files: list[manifest.File]
    settings: Release
    recipe: Recipe
    generator: Trained
    cells: dict[tuple[str, str], Any]
    agree: dict[str, bool]
    maker: LabelMaps | None


def _job(folder: Path, listed: manifest.Manifest, name: str, root: Path | None, device: str) -> _Job:
    subset = listed.subsets[name]
    recipe = _recipe(folder, subset)
    settings = recipe.release
    if settings is None or settings.subset != name:
        raise CorruptRelease(
            f"the recipe of {name!r} in {folder} makes another subset",
            found=repr(settings.subset if settings else None),
            expected=repr(name),
            hint="fetch the release again",
        )
    generator = load_file(_weights(folder, listed, subset), device)
    drawn = isinstance(generator, LabelTranslator)
    wrong = isinstance(generator, Translator) != isinstance(recipe.data, PairData)
    if wrong or drawn != isinstance(settings, SliceRelease):
        raise CorruptRelease(
            f"the recipe of {name!r} in {folder} does not go with its weights",
            found=generator.card.kind,
            expected="the other kind of generator",
            hint="fetch the release again",
        )
    cells: dict[tuple[str, str], Any] = {}
    agree: dict[str, bool] = {}
    if isinstance(generator, Translator):  # samples need no film
        films = makers.source_films(recipe, root)
        at_hand = makers.fingerprints(films)
        agree = {source: at_hand.get(source) == known for source, known in subset.sources.items()}
        names = zip(films["source_dataset"], films["source_id"], strict=True)
        cells = dict(zip(names, films["image"], strict=True))
    maker = None
    if isinstance(generator, LabelTranslator) and isinstance(settings, SliceRelease):
        maker = LabelMaps(recipe, settings, generator, root)
        agree = {source: maker.sources.get(source) == known for source, known in subset.sources.items()}
    files = shards.of(listed, name)
    for file in files:  # before anything is drawn from the numbers that the manifest claims
        with shards.opened(folder, file):
            pass
    return _Job(folder, files, settings, recipe, generator, cells, agree, maker)


def _recipe(folder: Path, subset: manifest.Subset) -> Recipe:
    """The recipe in the manifest, as its family's model. Raises `CorruptRelease`, `UnknownName`."""
    model: type[Recipe] = family(str(subset.recipe.get("family"))).Recipe
    try:
        return model.model_validate(subset.recipe)
    except ValidationError as error:
        what = f"a recipe in {folder / manifest.NAME} cannot be used"
        hint = "take the version of the code that the manifest names"
        raise invalid(CorruptRelease, what, error, model, hint) from error


def _weights(folder: Path, listed: manifest.Manifest, subset: manifest.Subset) -> Path:
    """The weights of a subset, once they are known to be those of the manifest. Raises `CorruptRelease`."""
    known = {file.path: file for file in listed.files}
    card = str(Path(subset.weights).with_suffix(".json"))
    for path in (subset.weights, card):
        found = "not in the manifest"
        if path in known and manifest.is_inside(folder, path) and (folder / path).is_file():
            found = f"sha256 {hashlib.sha256((folder / path).read_bytes()).hexdigest()}"
            if found.endswith(known[path].sha256):
                continue
        elif path in known:
            found = "no file, or a symbolic link"
        raise CorruptRelease(
            f"the weights {folder / path} are not as released",
            found=found,
            expected="the file that the manifest lists",
            hint="fetch the release again",
        )
    return folder / subset.weights


def _unlike(subset: manifest.Subset, device: str) -> list[str]:
    """How this machine differs from that of the release, as far as pixels may depend on it."""
    found = [] if subset.device == device else [f"made on {subset.device or 'an unknown device'}"]
    for name in LIBRARIES:
        here, there = importlib.metadata.version(name), subset.libraries.get(name)
        found += [] if here == there else [f"{name} {there} then, {here} now"]
    return found


def _draw(job: _Job, share: int, random: np.random.Generator) -> list[tuple[list[Row], int]]:
    """Batches as they were made, one from each of equal stretches, and how many rows of each to compare."""
    places = [
        (file, start) for file in job.files for start in range(0, file.rows or 0, job.settings.batch_size)
    ]
    needed = min(len(places), -(-share // job.settings.batch_size))
    edges = np.linspace(0, len(places), needed + 1).astype(int)
    chosen = [int(random.integers(low, high)) for low, high in pairwise(edges)]
    taken = set(chosen)
    rest = [place for place in random.permutation(len(places)).tolist() if place not in taken]
    drawn: list[tuple[list[Row], int]] = []
    left = share
    # A shard's last batch may be short, so that more are needed.
    for place in [*chosen, *rest]:
        if not left:
            break
        rows = _read(job, *places[place])
        drawn.append((rows, min(left, len(rows))))
        left -= drawn[-1][1]
    return drawn


def _read(job: _Job, file: manifest.File, start: int) -> list[Row]:
    """The rows of the batch that begins at row `start` of a shard."""
    stop = min(start + job.settings.batch_size, file.rows or 0)
    with shards.opened(job.folder, file) as shard:
        missing = [name for name in COLUMNS if name not in shard.schema_arrow.names]
        if missing:
            raise CorruptRelease(
                f"{job.folder / file.path} lacks columns",
                found=", ".join(shard.schema_arrow.names)[:120],
                expected=", ".join(COLUMNS),
                hint="fetch the release again",
            )
        before, rows = 0, []
        for group in range(shard.num_row_groups):
            count = shard.metadata.row_group(group).num_rows
            if before < stop and before + count > start:
                table = shard.read_row_group(group, columns=list(COLUMNS))
                first = max(start - before, 0)
                rows += table.slice(first, stop - before - first).to_pylist()
            before += count
    return rows


def _compare(job: _Job, batch: tuple[list[Row], int], *, exact: bool) -> list[Outcome]:
    rows, count = batch
    made = _make(job, rows)
    return [_outcome(job, row, film, exact) for row, film in zip(rows[:count], made[:count], strict=True)]


def _make(job: _Job, rows: Sequence[Row]) -> Grey:
    """The films of the rows, uint8 (n, size, size), as the network makes them now."""
    if job.maker is not None:
        return job.maker.again(rows)
    assert not isinstance(job.generator, LabelTranslator)  # noqa: S101 - it has a maker
    kinds = {str(row["variant"]).partition(":")[0] for row in rows}
    known = {"noise"} if isinstance(job.generator, Sampler) else {"full", "crop"}
    if not kinds <= known:
        raise ReleaseError(
            f"rows of this kind cannot be made again by a {job.generator.card.kind}",
            found=f"variant {sorted(kinds - known)[-1]!r}",
            expected=" or ".join(sorted(known)),
            hint="take the version of the code that the manifest names",
        )
    if isinstance(job.generator, Sampler):
        label = job.settings.label if job.generator.card.classes else None
        indices = [_index(row) for row in rows]
        first = min(indices)
        if max(indices) - first >= job.settings.shard_rows:
            raise CorruptRelease(
                "rows of one shard that were not made together",
                found=f"noise {first} and {max(indices)}",
                expected=f"less than {job.settings.shard_rows} apart",
                hint="fetch the release again",
            )
        made = job.generator.sample(max(indices) - first + 1, job.recipe.seed, label=label, start=first)
        return np.stack([made[index - first] for index in indices])
    return job.generator.forward(np.stack([_film(job, row) for row in rows])).cpu().numpy()


def _index(row: Row) -> int:
    """Which noise a row was made from. Raises `CorruptRelease` where it does not say."""
    index = str(row["variant"]).removeprefix("noise:")
    if not (index.isascii() and index.isdigit() and int(index) < manifest.MAX_ROWS):
        raise CorruptRelease(
            f"the row {row['image_id']} has no lineage",
            found=f"variant {row['variant']!r:.60}",
            expected="noise:INDEX",
            hint="fetch the release again",
        )
    return int(index)


def _film(job: _Job, row: Row) -> Grey:
    """The cut of the real film that a row was translated from. Raises `MissingSource`, `BadImage`."""
    key = (row["source_dataset"], row["source_id"])
    if key not in job.cells:
        raise MissingSource(
            f"the film that {row['image_id']} was made from is not at hand",
            found=f"{len(job.cells):,} films of the recipe's source class",
            expected=f"{key[0]}/{key[1]}",
            hint="give --root the sets that the card of the release names, in the state that it names",
        )
    try:
        crop = crops.parse_variant(row["variant"])
    except ValueError as error:
        raise CorruptRelease(
            f"the row {row['image_id']} has no lineage",
            found=f"variant {row['variant']!r:.60}",
            expected="full or crop:LEFT,TOP,RIGHT,BOTTOM",
            hint="fetch the release again",
        ) from error
    if min(crop) < 0 or max(crop[0] + crop[2], crop[1] + crop[3]) >= crops.THOUSANDTHS:
        raise CorruptRelease(
            f"the row {row['image_id']} has an impossible crop",
            found=row["variant"],
            expected="margins that leave something of the film",
            hint="fetch the release again",
        )
    return makers.cut(job.cells[key], crop, job.recipe.data.size)


def _outcome(job: _Job, row: Row, film: Grey, exact: bool) -> Outcome:
    """The published image of a row against the film made now, both as a reader sees them: decoded."""
    published = (row["image"] or {}).get("bytes")
    if published is None:
        raise CorruptRelease(
            f"the row {row['image_id']} has no image",
            found="no bytes",
            expected="an encoded image",
            hint="fetch the release again",
        )
    again = encode_image(film, job.settings.codec, job.settings.quality)
    name = f"the image of {row['image_id']}"
    old, new = load_grey(published, name=name).astype(np.int64), load_grey(again).astype(np.int64)
    if old.shape != new.shape:
        return Outcome(row["image_id"], row["subset"], False, 255, 0.0, DIFFERS)
    difference = np.abs(old - new)
    psnr = ratio(old, new)
    close = not exact and psnr is not None and psnr >= BOUND
    verdict = EXACT if psnr is None else CLOSE if close else DIFFERS
    return Outcome(row["image_id"], row["subset"], published == again, int(difference.max()), psnr, verdict)


def ratio(old: np.ndarray[Any, Any], new: np.ndarray[Any, Any]) -> float | None:
    """Peak signal-to-noise ratio in dB of arrays in [0, 255]; None where they are the same."""
    error = float(np.mean((np.asarray(old, np.float64) - np.asarray(new, np.float64)) ** 2))
    return 10 * math.log10(255**2 / error) if error else None
