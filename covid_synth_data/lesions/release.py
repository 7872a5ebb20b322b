"""Lesion pairs as a release folder: rows 2i and 2i + 1 are a film and the same film with opacities.

The pairs are painted into a folder of their own first (`folder`), so that a stop loses nothing; the shards
take their PNG files as they are.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from PIL import Image
from pydantic import ValidationError

from covid_synth_data import schema
from covid_synth_data._version import __version__
from covid_synth_data.errors import BadMetadata, ConfigError, EmptySplit
from covid_synth_data.files.models import invalid
from covid_synth_data.lesions import folder, hosts, patterns
from covid_synth_data.lesions.folder import Job
from covid_synth_data.lesions.hosts import Host
from covid_synth_data.lesions.painting import Record
from covid_synth_data.release import building, imported_card, manifest
from covid_synth_data.sources import licences

CONFIG: Final = "lesion-pairs"

GENERATOR: Final = "lesions"

WORK: Final = ".pairs"
"""In the hidden folder of the release: the pairs as files, until the shards hold them."""


def release_pairs(
    job: Job,
    config: str = CONFIG,
    licence: str = licences.UNKNOWN,
    progress: Callable[[int, int], None] | None = None,
    ray: str | None = None,
) -> tuple[manifest.Manifest, list[Record]]:
    """Write pairs of the films of `job` as the config `config` of the release folder `job.out`.

    Returns the manifest, and a record of each film; a film without lungs has a reason there and no rows.
    `licence` is that of films whose table states none. Films of the table that state `source_dataset` and
    `source_id` are named in the manifest, so that a benchmark does not test on them; where one does not, what
    the pairs show is unknown. The same call goes on after a stop, and a release that is there gets the config
    besides. Raises what `folder.write_pairs` raises, and `EmptySplit` where no film can be painted.
    """
    building.check_name(config)
    films = hosts.read(job.films).films
    settings: dict[str, Any] = {
        "films": _digest(job.films, films),
        "config": config,
        "licence": licence,
        "seed": job.seed,
        "pattern": job.pattern,
        "control": job.control,
        "size": job.size,
        "lungs": job.lungs is not None,
    }
    if job.out.resolve() == job.films.resolve():
        raise ConfigError("the release would lie among the films", found=str(job.out), hint="change -o")
    old = building.existing(job.out, config, settings)
    there = old is not None and config in old.subsets
    if old is not None and there:
        return old, []
    tick = progress or (lambda done, total: None)
    with building.staged(job.out, settings) as place:
        work = replace(job, out=place / WORK)
        records = folder.write_pairs(work, tick, one_size=True, lock=False, ray=ray)
        pairs = _Pairs(work, config, licence, films, records)
        paths = building.write_shards(
            place, config, 2 * len(pairs.painted), pairs.rows, lambda *_: None, schema.PAIR_COLUMNS
        )
        subset = pairs.subset(settings)
        shutil.rmtree(work.out)
        restricted = sorted(name for name in subset.licences if not licences.is_permissive(name))
        listed = building.finish(place, job.out, paths, config, subset, restricted, imported_card.text)
    return listed, records


class _Pairs:
    """The pairs of a job that is done, as rows of a release."""

    def __init__(self, job: Job, config: str, licence: str, films: list[Host], records: list[Record]) -> None:
        """Raises `EmptySplit` where no film was painted."""
        self.job, self.config, self.licence = job, config, licence
        self.films, self.records = films, records
        self.painted = [index for index, record in enumerate(records) if not record.reason]
        if not self.painted:
            raise EmptySplit(
                "no film can be painted",
                found=f"{len(films)} films, e.g. {films[0].name}: {records[0].reason}",
                expected="frontal films with two lungs",
                hint="check the films, or give lung masks with --lungs",
            )

    def rows(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """The rows `start` to `stop`."""
        for row in range(start, stop):
            yield self._row(self.painted[row // 2], lesion=row % 2 == 1)

    def _row(self, index: int, *, lesion: bool) -> dict[str, Any]:
        host, record = self.films[index], self.records[index]
        negative = schema.LABELS.index(patterns.NEGATIVE)
        kind = "lesion" if lesion else "film"
        name = f"{self.config}-{host.identity}-{kind}"
        return {
            "image": self._cell("lesions" if lesion else "films", host, f"{name}.png"),
            "mask": self._cell("masks", host, f"{name}-mask.png") if lesion else None,
            "label": self._label() if lesion else negative,
            "image_id": name,
            "subset": self.config,
            "generator": GENERATOR,
            "seed": self.job.seed,
            "source_dataset": host.stated.get("source_dataset"),
            "source_id": host.stated.get("source_id", host.identity),
            "source_class": host.stated.get("source_class", patterns.NEGATIVE),
            "source_license": self._licence(host),
            "variant": f"lesions:{index}" if lesion else "full",
            "pair_id": f"{self.config}-{host.identity}",
            "pattern": (record.control or record.pattern) if lesion else "",
            "extent": float(record.extent) if lesion else 0.0,
        }

    def _cell(self, kind: str, host: Host, name: str) -> dict[str, Any]:
        return {"bytes": (self.job.out / kind / f"{host.identity}.png").read_bytes(), "path": name}

    def _label(self) -> int:
        """Of the painted films; a control is a negative."""
        control = self.job.control is not None
        return schema.LABELS.index(patterns.NEGATIVE if control else patterns.label_of(self.job.pattern))

    def _licence(self, host: Host) -> str:
        return licences.normalise(host.stated.get("source_license") or self.licence)

    def subset(self, settings: dict[str, Any]) -> manifest.Subset:
        """The entry of the config in the manifest. Raises `BadMetadata` for a cell that it cannot hold."""
        shown = [self.films[index] for index in self.painted]
        known = all("source_dataset" in host.stated and "source_id" in host.stated for host in shown)
        films = {f"{host.stated['source_dataset']}/{host.stated['source_id']}" for host in shown if known}
        patients = {host.stated["patient_id"] for host in shown if known and "patient_id" in host.stated}
        with Image.open(self.job.out / "films" / f"{shown[0].identity}.png") as film:
            size = list(film.size)
        try:
            return manifest.Subset(
                rows=2 * len(shown),
                generator=GENERATOR,
                recipe=settings,
                sources={},
                learned_from=manifest.Learned(films=sorted(films), patients=sorted(patients)),
                licences=sorted({self._licence(host) for host in shown}),
                code_version=__version__,
                git="",
                libraries={
                    "python": platform.python_version(),
                    **{name: importlib.metadata.version(name) for name in ("numpy", "scipy", "pillow")},
                },
                imported=manifest.Imported(
                    form=imported_card.PAINTED, learned_from="stated" if known else "unknown", size=size
                ),
            )
        except ValidationError as error:
            hint = "change the column or the option that states it"
            raise invalid(BadMetadata, "what is stated of the films", error, manifest.Subset, hint) from error


def _digest(folder_: Path, films: list[Host]) -> str:
    """A digest of the films' names, sizes and times, and of what is stated of them."""
    digest = hashlib.sha256()
    for host in films:
        state = (folder_ / host.name).stat()
        stated = sorted(host.stated.items())
        digest.update(f"{host.name}\0{state.st_size}\0{state.st_mtime_ns}\0{stated}\n".encode())
    return digest.hexdigest()
