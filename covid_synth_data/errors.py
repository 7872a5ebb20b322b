"""The exceptions of the package.

    CovidSynthError                 base of all; its text is one line for the user
    ├── UnknownName                 a name that is in no table; says "did you mean"
    ├── ConfigError                 a recipe, suite or manifest with a wrong key, type or value
    ├── MissingExtra                an optional dependency is not installed
    ├── SourceError                 real data on disk
    │   ├── MissingSource           the root or a file that must be there is not
    │   ├── BadMetadata             a table of a source that cannot be read as what it claims to be
    │   └── BadImage                a file that is no image, is truncated, or is absurdly large
    ├── TaskError                   splits
    │   ├── EmptySplit              a part of a task has no rows of a class
    │   └── LeakError               the same patient or film on both sides of a split
    ├── ImpossibleMix               the requested composition cannot be reached with the given rows
    ├── ReleaseError                released datasets
    │   ├── CorruptRelease          a file that differs from the manifest
    │   ├── VersionExists           publishing or writing over a finished version
    │   └── HubError                the Hub cannot be reached, or refuses what is asked
    ├── WeightsError                weights that are missing, of another network, or not safetensors
    ├── MetricError                 arrays that a metric is not defined for (one class only, NaN, lengths)
    ├── DivergedError               a training run whose losses are no longer finite
    ├── ResultError                 a benchmark result file that contradicts itself or its suite
    ├── ClusterError                a node of a cluster that died with its work
    └── OutputError                 the output cannot be written (disk full, no permission)

Every message says what is wrong, what was found, what was expected, and what to do next. Programs that
wrap the package can rely on the class; the shell prints the message alone and exits with code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from covid_synth_data.escaping import terminal


class CovidSynthError(Exception):
    """Base of all errors that this package raises on purpose. The text is a single line.

    What a file or a server put into it cannot steer a terminal: characters that do not print are escaped.
    `lines` are further facts, one line each, which the shell prints below the text.
    """

    lines: tuple[str, ...] = ()

    def __init__(
        self,
        what: str,
        *,
        found: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
        lines: Iterable[str] = (),
    ) -> None:
        """Join the four parts of a message: what is wrong, what was found and expected, the next step."""
        self.lines = tuple(terminal(" ".join(line.split())) for line in lines)
        parts = [what.rstrip(".")]
        if found is not None:
            parts.append(f"found {found}")
        if expected is not None:
            parts.append(f"expected {expected}")
        text = "; ".join(parts) + "."
        if hint is not None:
            text += f" Next: {hint}" if hint.endswith(("?", ".")) else f" Next: {hint}."
        super().__init__(terminal(" ".join(text.split())))

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep class and message when the error is pickled, whatever arguments its class takes."""
        return _remade, (type(self), str(self), self.lines)


def _remade(kind: type[CovidSynthError], text: str, lines: tuple[str, ...]) -> CovidSynthError:
    error = kind.__new__(kind)
    error.lines = lines
    Exception.__init__(error, text)
    return error


class UnknownName(CovidSynthError):
    """An unknown name."""

    def __init__(self, kind: str, name: str, choices: Iterable[str]) -> None:
        """`kind` is what was asked for ("dataset", "suite"); `choices` are the names that exist."""
        known = sorted(choices)
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else "check the name and where it is looked for"
        expected = "one of " + ", ".join(known) if known else f"a {kind}, but none exists here"
        super().__init__(f"unknown {kind} {name!r}", expected=expected, hint=hint)


class ConfigError(CovidSynthError):
    """A recipe, suite or manifest with a wrong key, type or value."""


class MissingExtra(CovidSynthError):
    """An optional dependency is not installed."""

    def __init__(self, module: str, extra: str, *, purpose: str = "") -> None:
        """`module` could not be imported; `extra` is the extra of this package that brings it; `purpose` says
        what it does, where that is not plain."""
        super().__init__(
            f"the module {module!r}{f', which {purpose},' if purpose else ''} is not installed",
            expected=f"the extra [{extra}]",
            hint=f'pip install "covid-synth-data[{extra}]"',
        )


class SourceError(CovidSynthError):
    """Real data on disk that cannot be used."""


class MissingSource(SourceError):
    """The root, or a file of a source that must be there, is not there."""


class BadMetadata(SourceError):
    """A table of a source that cannot be read as what it claims to be."""


class BadImage(SourceError):
    """A file that is no image, is truncated, or is absurdly large."""


class TaskError(CovidSynthError):
    """A task that cannot be split as asked."""


class EmptySplit(TaskError):
    """A part of a task would have no rows of a class."""


class LeakError(TaskError):
    """The same patient or the same film stands on both sides of a split."""


class ImpossibleMix(CovidSynthError):
    """The requested composition cannot be reached with the given rows."""


class ReleaseError(CovidSynthError):
    """A released dataset that cannot be read or written."""


class CorruptRelease(ReleaseError):
    """A file of a release differs from its manifest."""


class VersionExists(ReleaseError):
    """Writing over a finished version."""


class HubError(ReleaseError):
    """The Hub, or a mirror, cannot be reached or refuses what is asked."""

    def __init__(
        self,
        what: str,
        *,
        found: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
        unreachable: bool = False,
    ) -> None:
        """`unreachable` if the server did not answer or is broken; a cached copy can then be used."""
        super().__init__(what, found=found, expected=expected, hint=hint)
        self.unreachable = unreachable


class WeightsError(CovidSynthError):
    """Weights that are missing, belong to another network, or are not safetensors."""


class MetricError(CovidSynthError):
    """Arrays for which a metric is not defined."""


class DivergedError(CovidSynthError):
    """A training run whose losses are no longer finite."""


class ResultError(CovidSynthError):
    """A benchmark result file that contradicts itself or its suite."""


class ClusterError(CovidSynthError):
    """A node of a cluster died with its work, again and again."""


class OutputError(CovidSynthError):
    """The output cannot be written."""
