"""The suites that come with the package, and suites read from files."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from covid_synth_data.benchmark.suite import half_samples, resized, resplit, sourced
from covid_synth_data.benchmark.suite.classification import ClassificationSuite
from covid_synth_data.benchmark.suite.segmentation import SegmentationSuite
from covid_synth_data.errors import ConfigError, UnknownName
from covid_synth_data.files.models import read_toml

AnySuite = ClassificationSuite | SegmentationSuite

KINDS: Final[dict[str, type[ClassificationSuite] | type[SegmentationSuite]]] = {
    "classification": ClassificationSuite,
    "segmentation": SegmentationSuite,
}
"""The model of a suite by the `kind` that its file states; a file that states none is of the first kind."""


@functools.lru_cache(maxsize=1)
def list_suites() -> tuple[str, ...]:
    """Names of the suites that come with the package, sorted."""
    names = (file.name for file in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def is_suite(name: str) -> bool:
    """Whether `load_suite` knows this name: of a suite of the package, or of one derived from it."""
    if name.endswith(".toml"):  # a file of that name is read only where a user asks for it
        return False
    try:
        load_suite(name)
    except (UnknownName, ConfigError):
        return False
    return True


def load_suite(name: str | Path) -> AnySuite:
    """The suite called `name`, or the one in the file at `name` where that ends in .toml.

    NAME@SOURCE is the suite NAME of classifiers on that source (`suite.sourced`). NAME@half-samples is that
    suite with another half of the training patients for each seed (`suite.half_samples`).
    NAME@128px is that suite with films of that side (`suite.resized`), NAME@split-1 with the split of that
    seed (`suite.resplit`). Marks can be combined.

    A file is parsed once in a process, and again only when it has changed. Raises `UnknownName` for a name
    that does not exist, `ConfigError` for a file that is no suite.
    """
    if str(name).endswith(".toml"):
        path = Path(name)
        stamp = path.stat() if path.is_file() else None
        return _parsed(path.absolute(), path, (stamp.st_mtime_ns, stamp.st_size) if stamp else None)
    template, *marks = str(name).split(sourced.MARK)
    if template not in list_suites():
        raise UnknownName("suite", template, list_suites())
    suite = _built_in(template)
    for mark in marks:
        suite = _derived(suite, mark)
    return suite


def _derived(suite: AnySuite, mark: str) -> ClassificationSuite:
    """The suite that `mark` makes of `suite`."""
    if mark == half_samples.NAME:
        return half_samples_of(suite)
    if (side := resized.side_of(mark)) is not None:
        return resized.with_side(_of_classifiers(suite), side)
    if (seed := resplit.seed_of(mark)) is not None:
        return resplit.with_split(_of_classifiers(suite), seed)
    return sourced.with_source(_of_classifiers(suite), mark)


def half_samples_of(suite: str | Path | AnySuite) -> ClassificationSuite:
    """A suite of classifiers, or that of this name, with another half of the patients for each seed.

    Raises `ConfigError` for a suite of another kind, and for one that does so already.
    """
    return half_samples.with_half_samples(_of_classifiers(_loaded(suite)))


def _loaded(suite: str | Path | AnySuite) -> AnySuite:
    return load_suite(suite) if isinstance(suite, str | Path) else suite


def load_classifiers(name: str | Path) -> ClassificationSuite:
    """As `load_suite`, for a suite of classifiers. Raises `ConfigError` for one of another kind."""
    return _of_classifiers(load_suite(name))


def _of_classifiers(suite: AnySuite) -> ClassificationSuite:
    if not isinstance(suite, ClassificationSuite):
        raise ConfigError(
            f"the suite {suite.name} has no classifiers",
            found=f"a suite of {suite.kind}",
            expected="a suite of classification",
        )
    return suite


@functools.lru_cache(maxsize=64)
def _built_in(name: str) -> AnySuite:
    with resources.as_file(_folder() / f"{name}.toml") as path:
        suite = _read(path)
    if suite.name != name:
        raise ConfigError(f"{path} has the wrong name", found=suite.name, expected=name)
    return suite


@functools.lru_cache(maxsize=64)
def _parsed(_key: Path, path: Path, _stamp: tuple[int, int] | None) -> AnySuite:
    """The suite at `path`; the working folder and the file's time and size are part of the cache's key."""
    return _read(path)


def _read(path: Path) -> AnySuite:
    suite = read_toml(path, KINDS[_kind_of(path)])
    if (problem := suite.problem()) is not None:
        raise ConfigError(f"{path}: {str(problem).removesuffix('.')}")
    return suite


def _kind_of(path: Path) -> str:
    """The kind that a file states. A file that cannot be read is left for `read_toml` to refuse."""
    first = next(iter(KINDS))
    try:
        kind = tomllib.loads(path.read_text(encoding="utf-8")).get("kind", first)
    except (OSError, ValueError, RecursionError):
        return first
    if kind not in KINDS:
        raise ConfigError(
            f"{path}: wrong value for 'kind'",
            found=repr(kind)[:80],
            expected=" or ".join(map(repr, KINDS)),
            hint="mend that key",
        )
    return str(kind)


def _folder() -> Traversable:
    return resources.files("covid_synth_data.benchmark") / "suites"
