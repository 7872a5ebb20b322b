"""A release folder that is built beside its place and moved there when it is whole.

The shards of one config are written into a hidden folder next to the release. A stop leaves that folder, and
the same call goes on with it. An error of the input removes it, so that nothing half-written stays.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from covid_synth_data import catalog, schema
from covid_synth_data.errors import (
    ClusterError,
    ConfigError,
    CovidSynthError,
    OutputError,
    ReleaseError,
    VersionExists,
)
from covid_synth_data.files.atomic import output_errors, write_text
from covid_synth_data.files.lock import locked
from covid_synth_data.release import card_yaml, manifest, writing

SHARD_ROWS: Final = 2048

MARK: Final = ".job.json"
"""In the hidden folder: the settings that its shards were made with."""

NAME: Final = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")
"""A config's name becomes a folder of the release and of the results."""

Rows = Callable[[int, int], Iterable[dict[str, Any]]]
"""The rows `start` to `stop` of a config."""


def check_name(config: str) -> None:
    """Raise `ConfigError` for what cannot be the name of a user's config."""
    if not NAME.match(config):
        raise ConfigError(
            "no such name of a config",
            found=repr(config)[:80],
            expected="small letters, digits, '.', '_' and '-'",
            hint="change --config",
        )
    if config in {entry.config for entry in catalog.DATASETS}:
        raise ConfigError(
            f"the config {config!r} is one of this project's releases",
            expected="a name of your own",
            hint="change --config",
        )


@contextlib.contextmanager
def staged(out: Path, settings: Mapping[str, Any]) -> Iterator[Path]:
    """The hidden folder beside `out` for a job of these settings; shards of another job are removed.

    The folder is removed where the block ends with an error of the input; it stays after a stop, a kill, a
    full disk or a cluster that lost its work. Raises `OutputError` where another process builds into `out`.
    """
    with locked(out, f"building of {settings['config']!r}"):
        yield from _staged(out, settings)


def _staged(out: Path, settings: Mapping[str, Any]) -> Iterator[Path]:
    folder = out.parent / f".{out.name}.building"
    text = json.dumps(settings, sort_keys=True)
    with output_errors(folder):
        mark = folder / MARK
        if folder.is_dir() and not (mark.is_file() and mark.read_text(encoding="utf-8") == text):
            shutil.rmtree(folder)
        write_text(mark, text)
    try:
        yield folder
    except (ClusterError, OutputError):
        raise
    except CovidSynthError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def write_shards(
    folder: Path,
    config: str,
    count: int,
    rows: Rows,
    tick: Callable[[int, int], None],
    columns: tuple[str, ...] = schema.SYNTHETIC_COLUMNS,
) -> list[str]:
    """Write the `count` rows of a config as shards below `folder`; those that are there stay. Their paths."""
    shards = -(-count // SHARD_ROWS)
    paths = []
    for shard in range(shards):
        start, stop = shard * SHARD_ROWS, min(count, (shard + 1) * SHARD_ROWS)
        path = f"{config}/{writing.name_of(config, shard, shards)}"
        if not (folder / path).is_file():
            done = _offset(tick, start, count)
            writing.write(folder / path, rows(start, stop), done, columns)
        paths.append(path)
        tick(stop, count)
    return paths


def _offset(tick: Callable[[int, int], None], start: int, count: int) -> Callable[[int], None]:
    return lambda done: tick(start + done, count)


def existing(out: Path, config: str, settings: Mapping[str, Any]) -> manifest.Manifest | None:
    """The release at `out` that the config joins; None where there is none.

    Raises `VersionExists` where `out` holds other files, images that were not imported, or another set under
    the config's name.
    """
    if not (out / manifest.NAME).is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise VersionExists(
                f"{out} holds something else",
                found="other files",
                expected="no folder, an empty one, or a release of imported images",
                hint="choose another folder with -o",
            )
        return None
    listed = manifest.read(out)
    if any(subset.imported is None for subset in listed.subsets.values()):
        raise VersionExists(
            f"{out} is a release of other images",
            found=f"{listed.name} {listed.version}",
            expected="no folder, or a release of imported images",
            hint="choose another folder with -o",
        )
    there = listed.subsets.get(config)
    if there is not None and there.recipe != settings:
        raise VersionExists(
            f"{out} holds the config {config!r} already",
            found="other images or settings",
            expected="a config that is not there",
            hint="choose another --config, or another folder with -o",
        )
    return listed


def finish(
    folder: Path,
    out: Path,
    paths: list[str],
    config: str,
    subset: manifest.Subset,
    restricted: list[str],
    card: Callable[[manifest.Manifest], str],
) -> manifest.Manifest:
    """Move the shards into `out` and write card and manifest, the manifest last. Returns the manifest.

    A new release gets version 1.0.0; one that was there gets the next minor version. `card` writes the text
    of the card below its YAML.
    """
    old = manifest.read(out) if (out / manifest.NAME).is_file() else None
    if old is not None and config in old.subsets:
        raise VersionExists(
            f"{out} holds the config {config!r} by now",
            found="that another process added it",
            expected="a config that is not there",
            hint="run the same command again",
        )
    shards = [writing.entry(folder, path, config) for path in paths]
    kept = [file for file in old.files if file.path != card_yaml.CARD] if old else []
    new = manifest.Manifest(
        format=1,
        name=old.name if old else out.absolute().name,
        version=_next(old.version) if old else "1.0.0",
        subsets={**(old.subsets if old else {}), config: subset},
        files=[*kept, *shards],
        restricted=sorted({*(old.restricted if old else []), *restricted}),
    )
    with output_errors(out):
        if old is None:
            write_text(folder / card_yaml.CARD, _yaml(new) + card(new))
            new = _with_card(new, folder)
            manifest.write(folder, new)
            (folder / MARK).unlink(missing_ok=True)
            folder.replace(out)
            return new
        _move(folder / config, out / config)
        write_text(out / card_yaml.CARD, _yaml(new) + card(new))
        new = _with_card(new, out)
        manifest.write(out, new)
        shutil.rmtree(folder, ignore_errors=True)
    return new


def _with_card(listed: manifest.Manifest, folder: Path) -> manifest.Manifest:
    card = writing.entry(folder, card_yaml.CARD)
    return manifest.Manifest(**{**dict(listed), "files": [*listed.files, card]})


def _next(version: str) -> str:
    major, minor, _ = version.split(".")
    return f"{major}.{int(minor) + 1}.0"


def _move(source: Path, target: Path) -> None:
    """Move a config's shards; what a stopped call left of the same config is replaced."""
    if target.exists():
        strange = [path.name for path in target.iterdir() if path.suffix != ".parquet"]
        if strange:
            raise ReleaseError(
                f"{target} holds other files", found=strange[0], expected="no such folder", hint="move it"
            )
        shutil.rmtree(target)
    source.replace(target)


def _yaml(listed: manifest.Manifest) -> str:
    """The YAML head of a card: one config for each subset, the first of them the default."""
    lines = ["---", "configs:"]
    for number, name in enumerate(listed.subsets):
        lines += [f"- config_name: {name}", *(["  default: true"] if not number else [])]
        lines += ["  data_files:", "  - split: train", f"    path: {name}/{name}-*.parquet"]
    return "\n".join([*lines, "---", ""])
