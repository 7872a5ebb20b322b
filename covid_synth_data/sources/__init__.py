"""Real chest X-rays and CT slices: one module per public set, all read into the same columns.

    read_source("covid-chestxray", root)     every row of the set as a pandas frame, with the reason where a
                                             row is not used
    load_source("covid-chestxray", root)     the usable rows as a `datasets.Dataset`, images decoded lazily

A new source is one new module with `INFO` and `read(root, **options)`, and one line in `_MODULES`. Sources of
CT slices have a label map beside each image (`schema.CT_COLUMNS`) and a `to_dataset` of their own.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from covid_synth_data.errors import ConfigError, MissingExtra, MissingSource, SourceError, UnknownName
from covid_synth_data.sources import disk, own, table
from covid_synth_data.sources.info import SourceInfo, SourceStatus

if TYPE_CHECKING:
    import datasets
    import pandas as pd

__all__ = ["SourceInfo", "SourceStatus", "list_sources", "load_source", "read_source", "source_status"]

_MODULES: Final = {
    "covid-chestxray": "covid_chestxray",
    "covid-19-image-repository": "covid_19_image_repository",
    "rsna": "rsna",
    "kermany": "kermany",
    "radiography": "radiography",
    "covid-qu-ex": "covid_qu_ex",
    "siim-covid19": "siim_covid19",
    "bimcv-covid19": "bimcv_covid19",
    "covidgr": "covidgr",
    "ricord-1c": "ricord_1c",
    "covid-ct": "covid_ct",
    "phantom": "phantom",
    "ct-phantom": "ct_phantom",
}
"""Name of the source to its module in this package, in the order in which they are listed."""

BUILT_IN: Final = ("phantom", "ct-phantom")
"""Sources that are made by a procedure and look at no root."""

_ROOTLESS: Final = ("rsna", *BUILT_IN)
"""Sources whose rows can be read without a root: metadata from a package, or made by a procedure."""

_VIEWS: Final = ("frontal", "all")


def list_sources() -> tuple[SourceInfo, ...]:
    """The descriptions of all sources: those of the package in order, then those that the user declared."""
    return (*(_info(name) for name in _MODULES), *(source.info for source in own.declared().values()))


def read_source(name: str, root: str | Path | None = None, **options: Any) -> pd.DataFrame:
    """Every row of the metadata (or file listing) of a source; see `table.COLUMNS`.

    `root` is the folder that holds the set's folder, or that folder itself; None means the folder that the
    environment variable COVID_SYNTH_SOURCES names. `options` are the source's own: `metadata` of
    covid-chestxray; `check`, `window` of covid-ct; `size`, `patients`, `seed` of phantom; `slices` and
    `ragged` besides of ct-phantom. Reads no pixels, but those of covid-ct unless `check` is False. Raises
    `UnknownName`, `ConfigError` for an unknown option, `MissingSource`, `BadMetadata`, `MissingExtra`.
    """
    if name in (mine := own.declared()):
        if options:
            raise ConfigError(f"the source {name} has no option {next(iter(options))!r}", hint="remove it")
        return own.read(mine[name])
    module = _module(name)
    allowed = [option for option in inspect.signature(module.read).parameters if option != "root"]
    for option in options:
        if option not in allowed:
            raise ConfigError(
                f"the source {name} has no option {option!r}",
                expected="one of " + ", ".join(allowed) if allowed else "no options",
                hint="remove it",
            )
    folder = disk.resolve_root(root) if name not in BUILT_IN else None
    if folder is None and name not in _ROOTLESS:
        raise disk.missing(_info(name), f"no root, and {disk.ENVIRONMENT} is not set")
    frame: pd.DataFrame = module.read(folder, **options)
    return frame


def require(names: Sequence[str], root: str | Path | None) -> None:
    """Raise `MissingSource` where `root` lacks some of these sets; it has a line for each (see `absent`)."""
    lines = absent(names, root)
    if lines:
        missing = [line.partition(":")[0] for line in lines]
        what = f"the sets {', '.join(missing)} are" if len(lines) > 1 else f"the set {missing[0]} is"
        raise MissingSource(
            f"{what} not there",
            found=_searched(root),
            expected=", ".join(names),
            hint="put them into the root; covid-synth sources says more",
            lines=lines,
        )


def absent(names: Sequence[str], root: str | Path | None) -> list[str]:
    """A line for each of these sets that `root` lacks: its name, its folder, and how to obtain it."""
    folder = disk.resolve_root(root)
    return [
        f"{info.name}: folder {' or '.join(info.folders)}; {info.how_to_obtain.rstrip('.')}; {info.homepage}"
        for info in map(_info, names)
        if folder is None or disk.find(info, folder) is None
    ]


def _searched(root: str | Path | None) -> str:
    folder = disk.resolve_root(root)
    return f"{folder} without them" if folder else f"no root, and {disk.ENVIRONMENT} is not set"


def load_source(
    name: str, root: str | Path | None = None, *, views: str = "frontal", **options: Any
) -> datasets.Dataset:
    """The usable rows of a source as a Dataset with the columns `schema.REAL_COLUMNS` (CT: `CT_COLUMNS`).

    `views` is "frontal", or "all" to keep lateral films and films of unstated view. `image` is decoded to a
    PIL image when a row is read, in the mode of its file. Root, options and errors are those of
    `read_source`; raises `MissingSource` also when the set is there but has no usable image.
    """
    if views not in _VIEWS:
        raise UnknownName("choice of views", views, _VIEWS)
    frame = read_source(name, root, **options)
    rows = table.usable(frame, views)
    if not len(rows):
        reason = frame["excluded"].mode()
        raise disk.missing(
            _info(name), f"no usable image in {len(frame)} rows ({', '.join(reason) or 'empty'})"
        )
    to_dataset: Callable[[pd.DataFrame], datasets.Dataset]
    to_dataset = getattr(_MODULES.get(name) and _module(name), "to_dataset", table.to_dataset)
    return to_dataset(rows)


def source_status(name: str, root: str | Path | None = None) -> SourceStatus:
    """How much of a source a root holds. Never raises for a set that is damaged: `problem` says it.

    Raises `UnknownName` and, where the root itself does not exist, `MissingSource`.
    """
    info = _info(name)
    if name in (mine := own.declared()):
        return _own_status(mine[name])
    if name in BUILT_IN:
        return SourceStatus(
            name, None, info.expected_images, info.expected_images, 0, "built in, made when asked for"
        )
    base = disk.resolve_root(root)
    folder = disk.find(info, base) if base is not None else None
    if folder is None or base is None:
        return SourceStatus(name, None, 0, info.expected_images, 0, "not found" if base else "no root given")
    try:
        frame = read_source(name, base, **_quick(name))
    except (SourceError, MissingExtra) as error:
        return SourceStatus(
            name, folder, 0, info.expected_images, 0, f"unreadable: {error}", problem=str(error)
        )
    images = int((frame["path"] != "").sum())
    summary = f"{images:,} of {info.expected_images:,} images"
    absent = int(((frame["path"] == "") & ~frame["excluded"].isin([table.CT])).sum())
    usable = int((frame["excluded"] == "").sum())
    summary += f", {absent:,} rows without a file" if absent else ""
    return SourceStatus(name, folder, images, info.expected_images, absent, f"{summary}, {usable:,} usable")


def _own_status(source: own.Declared) -> SourceStatus:
    folder = Path(source.folder)
    try:
        frame = own.read(source)
    except SourceError as error:
        return SourceStatus(source.name, folder, 0, 0, 0, f"unreadable: {error}", problem=str(error))
    here = frame["path"] != ""
    images, usable = int(here.sum()), int((frame["excluded"] == "").sum())
    missing = int((~here & frame["excluded"].isin([table.MISSING, table.NO_LABEL])).sum())
    summary = f"{images:,} of {len(frame):,} images, {usable:,} usable"
    reasons = frame.loc[frame["excluded"] != "", "excluded"].value_counts()
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    summary += f"; left out: {left_out}" if left_out else ""
    return SourceStatus(source.name, folder, images, len(frame), missing, summary)


def _quick(name: str) -> dict[str, Any]:
    """The options with which a source is read without decoding its files."""
    return {"check": False} if "check" in inspect.signature(_module(name).read).parameters else {}


def _module(name: str) -> ModuleType:
    """The module of a source. Raises `UnknownName`."""
    if name not in _MODULES:
        raise UnknownName("source", name, [*_MODULES, *own.declared()])
    return importlib.import_module(f"{__name__}.{_MODULES[name]}")


def _info(name: str) -> SourceInfo:
    if name in (mine := own.declared()):
        return mine[name].info
    info: SourceInfo = _module(name).INFO
    return info
