"""Pairs from a folder of normal films, for `covid-synth paint`.

OUT/films/NAME.png      the film as it was read, a negative
OUT/lesions/NAME.png    the same film with opacities, a positive
OUT/masks/NAME.png      the soft map of the lesion
OUT/records/NAME.json   what was painted; written last, so that it marks a film as done
OUT/pairs.csv           all records, written at the end
"""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

from covid_synth_data import cluster, escaping
from covid_synth_data.errors import BadImage, ConfigError, VersionExists
from covid_synth_data.files import dicom, pixels
from covid_synth_data.files.atomic import replacing, write_text
from covid_synth_data.files.lock import locked
from covid_synth_data.files.pixels import Grey
from covid_synth_data.lesions import hosts
from covid_synth_data.lesions.coordinates import Mask
from covid_synth_data.lesions.hosts import Host
from covid_synth_data.lesions.painting import LEAST_SIDE, Record, paint
from covid_synth_data.lesions.rows import to_grey
from covid_synth_data.sources.disk import list_images
from covid_synth_data.sources.table import stem

MARK: Final = "paint.json"
KEY: Final = "covid-synth-lesion"
"""Text field of a painted PNG: it says that the film is a positive."""

FILMS_PER_TASK: Final = 16
"""On a cluster: a quarter of a second of painting."""

FIELDS: Final = ("pair_id", "film", "lesion", "mask", "index", "seed", *Record.__dataclass_fields__)


@dataclass(frozen=True)
class Job:
    """A job of painting: `films` is the folder (`hosts`), `lungs` a folder of masks of the same names or
    None, `size` the side of the pairs, None for that of each film."""

    films: Path
    out: Path
    seed: int = 0
    pattern: str = "covid-19"
    control: str | None = None
    lungs: Path | None = None
    size: int | None = None
    force: bool = False


def write_pairs(
    job: Job,
    tick: Callable[[int, int], None],
    *,
    one_size: bool = False,
    lock: bool = True,
    ray: str | None = None,
) -> list[Record]:
    """Paint every film of a folder; the same call goes on after a stop. Returns the records in their order.

    Every film is checked before the first is painted; with `one_size` all must have the size of the first.
    Without `lock` the caller keeps other processes away from `out`. `ray` is the address of a Ray cluster
    that reads and paints, or "local"; every node finds `films` and `lungs` at the same path, and the pairs
    are the same. Raises `ConfigError`, `BadImage`, `UnknownName`, `VersionExists` where `out` holds anything
    else, `ClusterError`, and `OutputError`, also where another process paints into `out`.
    """
    films = hosts.read(job.films).films
    if job.out.resolve() == job.films.resolve():
        raise ConfigError("the pairs would lie among the films", found=str(job.out), hint="change -o")
    if ray is not None:  # a node works in another folder
        job = replace(job, films=job.films.absolute(), lungs=job.lungs and job.lungs.absolute())
    masks = _masks(job)
    paint(np.zeros((0, LEAST_SIDE, LEAST_SIDE), np.uint8), job.seed, job.pattern, control=job.control)
    with contextlib.ExitStack() as held:
        over = held.enter_context(cluster.spread(ray)) or _here
        _check(job, films, masks, one_size, over)
        if lock:
            held.enter_context(locked(job.out, "a painting"))
        _claim(job, [host.name for host in films])
        places = {host.identity: job.out / "records" / f"{host.identity}.json" for host in films}
        pending = [(index, host) for index, host in enumerate(films) if not places[host.identity].is_file()]
        made = over(functools.partial(_paint_one, job, masks), pending, FILMS_PER_TASK)
        rows = []
        for host in films:
            done = places[host.identity]
            if not done.is_file():
                _write(job.out, next(made), done)
            rows.append(json.loads(done.read_text(encoding="utf-8")))
            tick(len(rows), len(films))
        write_text(job.out / "pairs.csv", _table(rows))
    fields = Record.__dataclass_fields__
    return [Record(**{key: row[key] for key in fields} | {"zones": tuple(row["zones"])}) for row in rows]


def _here(
    work: Callable[[Any], Any], items: Iterable[Any], each: int = 1, *, gpu: bool = False
) -> Iterator[Any]:
    """A `cluster.Spread` of this process alone."""
    return map(work, items)


def _check(
    job: Job, films: list[Host], masks: Mapping[str, Path] | None, one_size: bool, over: cluster.Spread
) -> None:
    """Read every film once. Raises `BadImage`, `ConfigError`."""
    first: tuple[int, ...] = ()
    shapes = over(functools.partial(_shape, job, masks), [host.name for host in films], 8 * FILMS_PER_TASK)
    for host, shape in zip(films, shapes, strict=True):
        first = first or shape
        if one_size and shape != first:
            raise BadImage(
                f"{job.films / host.name} has another size than {films[0].name}",
                found=f"{shape[1]} x {shape[0]} pixels",
                expected=f"{first[1]} x {first[0]}",
                hint="add --size N, which resizes every film to N x N",
            )


def _shape(job: Job, masks: Mapping[str, Path] | None, name: str) -> tuple[int, ...]:
    return _read(job, name, masks)[0].shape


class _Pair(NamedTuple):
    """The pair of a film: PNG files by their path below `out`, and the text of the record."""

    files: dict[str, bytes]
    record: str


def _paint_one(job: Job, masks: Mapping[str, Path] | None, film_at: tuple[int, Host]) -> _Pair:
    index, host = film_at
    film, lungs = _read(job, host.name, masks)
    given = None if lungs is None else lungs[None]
    painted = paint(film[None], job.seed, job.pattern, given, job.control, indices=[index])
    record, name = painted.records[0], f"{host.identity}.png"
    row: dict[str, Any] = {"pair_id": host.identity, "film": f"films/{name}", "index": index}
    files = {f"films/{name}": _png(film)}
    if not record.reason:
        text = "" if job.control else record.pattern
        files[f"lesions/{name}"] = _png(painted.films[0], text)
        files[f"masks/{name}"] = _png(painted.maps[0])
        row |= {"lesion": f"lesions/{name}", "mask": f"masks/{name}"}
    return _Pair(files, json.dumps({"lesion": "", "mask": "", **row, "seed": job.seed, **asdict(record)}))


def _write(out: Path, pair: _Pair, done: Path) -> None:
    """Write the files of a pair, the record last."""
    for name, content in pair.files.items():
        with replacing(out / name) as temporary:
            temporary.write_bytes(content)
    write_text(done, pair.record)


def _read(job: Job, name: str, masks: Mapping[str, Path] | None) -> tuple[Grey, Mask | None]:
    """A film and its lungs. Raises `BadImage`, `ConfigError`."""
    path = job.films / name
    image = pixels.open_image(path)
    if image.info.get(KEY) and not job.force:
        raise ConfigError(
            f"{path} is a positive already",
            found=f"painted: {image.info[KEY]}",
            expected="normal films",
            hint="give the folder of normal films, or add --force",
        )
    # The window of a DICOM file is recorded, so its bits can be brought to eight; that of a PNG is not.
    film = pixels.to_grey(image) if dicom.is_dicom(name) else to_grey(image, str(path))
    if min(film.shape) < LEAST_SIDE:
        raise BadImage(
            f"{path} is too small to paint",
            found=f"{film.shape[1]} x {film.shape[0]} pixels",
            expected=f"at least {LEAST_SIDE} on each side",
            hint="take the film at a larger size",
        )
    lungs = None if masks is None else _lungs(job, masks, name, film)
    if job.size is None:
        return film, lungs
    small = None if lungs is None else pixels.resize(lungs.astype(np.uint8) * 255, job.size) >= 128
    return pixels.resize(film, job.size), small


def _masks(job: Job) -> dict[str, Path] | None:
    """Stem to file of the lung masks; None where none are given. Of one stem the first in natural order."""
    if job.lungs is None:
        return None
    return {stem(name): job.lungs / name for name in reversed(list_images(job.lungs))}


def _lungs(job: Job, masks: Mapping[str, Path], name: str, film: Grey) -> Mask:
    """The lung mask of the film `name`: a picture of the same stem and size, 0 outside the lungs."""
    path = masks.get(stem(name))
    if path is None:
        raise BadImage(
            f"no lung mask of {name}", expected=f"{job.lungs}/{stem(name)}.png", hint="leave out --lungs"
        )
    mask = pixels.load_grey(path) > 0
    if mask.shape != film.shape:
        raise BadImage(
            f"{path} is a mask of another size",
            found=f"{mask.shape[1]} x {mask.shape[0]} pixels",
            expected=f"{film.shape[1]} x {film.shape[0]}, as its film",
            hint="resize the mask",
        )
    return mask


def _claim(job: Job, names: list[str]) -> None:
    """Mark the folder as made by this job. Raises `VersionExists` unless it is empty or was begun by it."""
    settings = {
        "seed": job.seed,
        "pattern": job.pattern,
        "control": job.control,
        "size": job.size,
        "lungs": job.lungs is not None,
        "films": hashlib.sha256("\n".join(names).encode()).hexdigest()[:16],
    }
    mark = job.out / MARK
    if mark.is_file():
        if json.loads(mark.read_text(encoding="utf-8")) == settings:
            return
    elif not job.out.is_dir() or not any(job.out.iterdir()):
        write_text(mark, json.dumps(settings, indent=1) + "\n")
        return
    raise VersionExists(
        f"{job.out} holds something else",
        found="other files, or pairs of other films or settings",
        expected="an empty folder, or the pairs of the same command",
        hint="choose another folder with -o",
    )


def _png(picture: Grey, lesion: str = "") -> bytes:
    text = PngImagePlugin.PngInfo()
    if lesion:
        text.add_text(KEY, lesion)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", pnginfo=text)
    return buffer.getvalue()


def _table(rows: list[dict[str, Any]]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_cells({**row, "zones": " ".join(row["zones"])}) for row in rows)
    return buffer.getvalue()


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    return {key: escaping.csv(value) if isinstance(value, str) else value for key, value in row.items()}
