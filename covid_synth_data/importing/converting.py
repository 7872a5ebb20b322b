"""From images of any form to a release folder: checked, decoded and encoded, written in shards."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from pydantic import ValidationError

from covid_synth_data import cluster, schema
from covid_synth_data._version import __version__
from covid_synth_data.errors import BadImage, BadMetadata, ConfigError, UnknownName
from covid_synth_data.files import pixels
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.files.models import invalid
from covid_synth_data.files.pixels import Grey
from covid_synth_data.importing import copies_of_real, lineage, reading
from covid_synth_data.importing.reading import Images, Picture
from covid_synth_data.metrics import approximate
from covid_synth_data.release import building, imported_card, manifest

Tick = Callable[[int, int], None]

IMAGES_PER_TASK: Final = 32
"""On a cluster: a quarter of a second at 256 x 256."""


def import_images(
    path: Path,
    out: Path,
    config: str,
    stated: lineage.Stated = lineage.Stated(),  # noqa: B008 - frozen
    *,
    size: int | None = None,
    root: Path | None = None,
    progress: Tick | None = None,
    ray: str | None = None,
    search: str = approximate.EXACT,
) -> manifest.Manifest:
    """Write the images at `path` as the config `config` of the release folder `out`; returns its manifest.

    Images become grey PNG files, uint8, of one size; `size` resizes them to (size, size). With `root`, images
    that are copies of real films there are refused; `search` is "exact" or "approximate", which is faster
    among very many images and may miss copies. `ray` is the address of a Ray cluster that decodes and
    encodes, or "local"; every node finds the images at the same path, and the release is the same. The same
    call goes on after a stop. A release that is there and holds imported images alone gets the config
    besides. Raises `MissingSource`, `BadMetadata`, `BadImage`, `UnknownName` for a label or a search,
    `ConfigError`, `MissingExtra`, `VersionExists`, `OutputError`, `ClusterError`.
    """
    if approximate.wanted(search) and root is None:
        raise ConfigError(
            "nothing is searched for copies",
            found="an approximate search and no folder of real films",
            expected="both, or neither",
            hint="name the folder with --root, or leave --search out",
        )
    tick = progress or (lambda done, total: None)
    building.check_name(config)
    images = reading.read(path)
    labels = [_label(row.label, stated.label, images.form, row.name) for row in images.rows]
    ids = _ids(images, config)
    if not ids:
        raise ConfigError(f"no image in {path}", found="an empty table", expected="at least one row")
    learned_from = lineage.learned_from(stated.learned_from)
    settings = {"digest": images.digest, "config": config, "size": size, **asdict(stated)}
    settings["learned_from"] = learned_from.model_dump()
    old = building.existing(out, config, settings)
    if old is not None and config in old.subsets:
        return old
    with cluster.spread(ray) as over, building.staged(out, settings) as folder:
        work = _Work(images, labels, ids, config, stated, size, over)
        paths = building.write_shards(folder, config, len(ids), work.rows, tick)
        if root is not None:
            copies_of_real.check([folder / name for name in paths], root, search)
        subset = _subset(work, settings, learned_from)
        restricted = lineage.restricted(set(subset.licences))
        return building.finish(folder, out, paths, config, subset, restricted, imported_card.text)


class _Work:
    """One import: the images, what is stated of them, and the size that all must have."""

    def __init__(
        self,
        images: Images,
        labels: list[str],
        ids: list[str],
        config: str,
        stated: lineage.Stated,
        size: int | None,
        over: cluster.Spread | None,
    ) -> None:
        self.images, self.labels, self.ids, self.config, self.stated = images, labels, ids, config, stated
        self.side, self.over = size, over
        self.shape = (size, size) if size else _grey(self._given(0)).shape

    def rows(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """The rows `start` to `stop`, decoded and encoded in threads or on a cluster, in order."""
        numbers = range(start, stop)
        if self.over is None:
            yield from in_threads(lambda number: self._row(number, _convert(self._given(number))), numbers)
            return
        converted = self.over(_convert, map(self._given, numbers), IMAGES_PER_TASK)
        yield from map(self._row, numbers, converted)

    def licence(self, number: int) -> str:
        """The licence of an image: its own, or that of the set."""
        own = self.images.rows[number].lineage.get("source_license")
        return lineage.licence_named(str(own) if own else self.stated.licence)

    def _given(self, number: int) -> _Given:
        picture = self.images.picture(number)
        if isinstance(picture, Path):
            picture = picture.absolute()  # a node works in another folder
        return _Given(picture, self.images.rows[number].name, self.side)

    def _row(self, number: int, converted: _Converted) -> dict[str, Any]:
        given, shape = self.images.rows[number], converted.shape
        if shape != self.shape:
            raise BadImage(
                f"{given.name} has another size than {self.images.rows[0].name}",
                found=f"{shape[1]} x {shape[0]} pixels",
                expected=f"{self.shape[1]} x {self.shape[0]}",
                hint="add --size N, which resizes every image to N x N",
            )
        more = {name: given.lineage.get(name) for name in lineage.COLUMNS}
        return {
            **more,
            "image": {"bytes": converted.content, "path": f"{self.config}-{number:06d}.png"},
            "label": schema.LABELS.index(self.labels[number]),
            "image_id": self.ids[number],
            "subset": self.config,
            "generator": more["generator"] or self.stated.generator,
            "source_license": self.licence(number),
        }


class _Given(NamedTuple):
    """A picture as it was given, its name for messages, and the side that it gets, None for its own."""

    picture: Picture
    name: str
    side: int | None


class _Converted(NamedTuple):
    """A grey PNG file, and the height and width of its picture."""

    content: bytes
    shape: tuple[int, ...]


def _convert(given: _Given) -> _Converted:
    """Decode a picture and encode it as a grey PNG file. Raises `BadImage`."""
    grey = _grey(given)
    return _Converted(encode_image(grey, "png", 0), grey.shape)


def _grey(given: _Given) -> Grey:
    picture, name, side = given
    if isinstance(picture, np.ndarray):
        from PIL import Image

        grey = pixels.to_grey(Image.fromarray(picture))
        return pixels.resize(grey, side) if side else grey
    return pixels.load_grey(picture, side, name)


def in_threads(
    work: Callable[[int], dict[str, Any]], numbers: range, ahead: int = 64
) -> Iterator[dict[str, Any]]:
    """`work` of each number, in order, by a thread for each core; at most `ahead` results wait."""
    waiting: deque[Future[dict[str, Any]]] = deque()
    # Opening an image sets warning filters aside, which threads would put back in the wrong order.
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            for number in numbers:
                waiting.append(pool.submit(work, number))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _label(own: str, given: str | None, form: str, name: str) -> str:
    """The label of an image. Raises `UnknownName`, `ConfigError` where none or two are stated."""
    if not own and given is None:
        raise ConfigError(
            f"{name} has no label",
            expected="one of " + ", ".join(schema.LABELS),
            hint="add --label, a column label, or folders named like labels",
        )
    if given is None:
        return schema.label_named(own, name)
    wanted = schema.label_named(given, "--label")
    if own:
        try:
            stated = schema.label_named(own, name)
        except UnknownName:
            if form != "folder":
                raise
            return wanted  # the folder's name is no label
        if stated != wanted:
            raise ConfigError(
                f"{name} states another label than --label",
                found=stated,
                expected=wanted,
                hint="leave --label out",
            )
    return wanted


def _ids(images: Images, config: str) -> list[str]:
    """An id for each image: as stated, after the config's name. Raises `BadMetadata` for one given twice."""
    ids = [f"{config}-{row.image_id}" for row in images.rows]
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        both = [row.name for row, name in zip(images.rows, ids, strict=True) if name == twice[0]]
        raise BadMetadata(
            f"{len(twice)} image ids stand for several images",
            found=f"{twice[0]!r} for {both[0]} and {both[1]}",
            expected="each image_id once",
            hint="give each image an id of its own in the column image_id",
        )
    odd = next((name for name in ids if len(name) > 255 or not name.isprintable()), None)
    if odd is not None:
        raise BadMetadata(
            "an image id that cannot be", found=repr(odd)[:80], expected="printable, at most 255"
        )
    return ids


def _subset(work: _Work, settings: dict[str, Any], learned_from: manifest.Learned) -> manifest.Subset:
    """The entry of the set in the manifest."""
    named = {str(row.lineage.get("generator") or work.stated.generator) for row in work.images.rows}
    height, width = work.shape
    fields: dict[str, Any] = {
        "rows": len(work.ids),
        "generator": named.pop() if len(named) == 1 else "several",
        "recipe": settings,
        "sources": {},
        "learned_from": learned_from,
        "licences": sorted({work.licence(number) for number in range(len(work.ids))}),
        "code_version": __version__,
        "git": "",
        "libraries": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("pillow", "pyarrow", "datasets")},
        },
        "imported": manifest.Imported(
            form=work.images.form,
            learned_from="unknown" if work.stated.learned_from is None else "stated",
            size=[width, height],
        ),
    }
    try:
        return manifest.Subset(**fields)
    except ValidationError as error:
        hint = "change the column or the option that states it"
        raise invalid(BadMetadata, "what is stated of the images", error, manifest.Subset, hint) from error
