"""Where releases are looked for: the Hub's cache, a checkout's `releases/`, named folders, then the Hub.

A dataset that is named without a folder is taken from the first place on this machine that holds the config
in the version asked for; without a version, in the newest version that any of these places holds. Only when
none does is the Hub asked. So a checkout works without a network, and a version never changes under a name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from covid_synth_data import catalog
from covid_synth_data.errors import CorruptRelease, HubError, ReleaseError
from covid_synth_data.release import hub, manifest

ENVIRONMENT: Final = "COVID_SYNTH_RELEASES"
"""Folders that hold releases, separated as in PATH; each release lies in a folder named like its dataset."""

CHECKOUT: Final = Path(__file__).resolve().parents[2] / "releases"
"""The releases of the checkout that the package runs from; no such folder in an installed package."""

Kind = Literal["cache", "checkout", "environment"]


@dataclass(frozen=True)
class Place:
    """A release on this machine: the kind of place, its folder, and its manifest."""

    kind: Kind
    folder: Path
    listed: manifest.Manifest


def candidates(dataset: str) -> Iterator[tuple[Kind, Path]]:
    """Folders in which a release of `dataset` may lie, in the order in which they are looked through."""
    for folder in reversed(hub.cached_folders(catalog.REPOSITORIES[dataset])):
        yield "cache", folder
    yield "checkout", CHECKOUT / dataset
    for folder in named(dataset):
        yield "environment", folder


def named(dataset: str) -> list[Path]:
    """The folders that COVID_SYNTH_RELEASES names: each a release, or one that holds a release."""
    homes = [Path(name).expanduser() for name in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if name]
    return [home if (home / manifest.NAME).is_file() else home / dataset for home in homes]


def here(dataset: str, subsets: Sequence[str] = ()) -> list[Place]:
    """The releases of `dataset` on this machine whose shards of `subsets` are all there, in order.

    A damaged release is passed over here; `covid-synth verify` says what is wrong with it.
    """
    places = []
    for kind, folder in candidates(dataset):
        try:
            listed = manifest.read(folder)
        except (ReleaseError, CorruptRelease):
            continue
        imported = bool(subsets) and all(
            name in listed.subsets and listed.subsets[name].imported for name in subsets
        )
        if not (listed.name == dataset or imported) or set(subsets) - set(listed.subsets):
            continue
        wanted = [file for file in listed.files if file.subset in subsets]
        if all((folder / file.path).is_file() for file in wanted):
            places.append(Place(kind, folder, listed))
    return places


def find(dataset: str, subsets: Sequence[str] = (), version: str | None = None) -> Place | None:
    """The place to read from: of `version`, or of the newest here; None where no place has it."""
    places = here(dataset, subsets)
    if version is None and places:
        version = max((place.listed.version for place in places), key=manifest.order)
    return next((place for place in places if place.listed.version == version), None)


def nowhere(chosen: catalog.DatasetEntry, version: str | None, error: HubError) -> HubError:
    """The error for a config that is in no place; `error` is what the Hub said. Names every place tried."""
    tried = []
    for kind, folder in candidates(chosen.dataset):
        if kind == "checkout":
            tried.append(f"nothing in the checkout ({folder})" if folder.is_dir() else "no checkout")
        elif kind == "environment":
            tried.append(f"nothing in {folder} ({ENVIRONMENT})")
    if not os.environ.get(ENVIRONMENT):
        tried.append(f"{ENVIRONMENT} not set")
    asked = f"{chosen.dataset} {chosen.config!r}" + (f" {version}" if version else "")
    return HubError(
        f"{asked} is not on this machine and cannot be fetched",
        found=f"not in the cache, {', '.join(tried)}; {str(error).partition(' Next: ')[0].rstrip('.')}",
        expected="the release in one of these places, or the Hub within reach",
        hint=f"clone the project's repository, whose releases/ holds the data, or run covid-synth fetch"
        f" {chosen.dataset} with a network, or give root= a release folder; covid-synth sample and"
        " covid-synth paint make images without any of these",
        unreachable=error.unreachable,
    )
