"""The parts that suites of every kind share: names, the base of regimes, and the base of suites."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import StringConstraints, model_validator

from covid_synth_data.errors import UnknownName
from covid_synth_data.files.models import FrozenModel

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+._@-]*$", max_length=200)]
"""Names become folders of the results, so they are kept to what is safe in a path."""

Version = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]


class BaseRegime(FrozenModel, ABC):
    """A rule that says what a network is trained on."""

    title: str

    @abstractmethod
    def rule(self) -> dict[str, Any]:
        """The part of the regime that results depend on, for a digest."""


class BaseProfile(FrozenModel):
    """A choice of seeds, and perhaps of regimes (null: all), for one purpose."""

    seeds: int
    regimes: list[Name] | None = None


class Suite(FrozenModel, ABC):
    """A suite of any kind. The first of its `profiles` is run when no other is asked for.

    `kind` says what the networks of the suite are trained to do. `caution` is printed below every table of
    the suite: it says what the numbers do not show.
    """

    kind: str
    name: Name
    version: Version
    title: str
    paper: str | None = None
    caution: str | None = None
    regimes: Mapping[Name, BaseRegime]
    profiles: Mapping[Name, BaseProfile]

    @model_validator(mode="after")
    def _profiles_name_regimes(self) -> Suite:
        for name, profile in self.profiles.items():
            check_names(f"profile {name}", "regimes", profile.regimes or [], self.regimes)
        return self

    @property
    @abstractmethod
    def release_name(self) -> str:
        """The name of the released dataset whose synthetic images the regimes use."""

    @abstractmethod
    def configs_of(self, regime: str) -> list[str]:
        """The configs of the released dataset that `regime` uses; none for a regime of real images."""

    def regimes_in(self, profile: str) -> list[str]:
        """The regimes that `profile` runs: those that it names, or all."""
        return list(self.profiles[profile].regimes or self.regimes)

    @abstractmethod
    def lists(self) -> dict[str, Sequence[str]]:
        """Everything that can be chosen of the suite, by what it is: "regimes", "profiles" and others."""

    def problem(self) -> UnknownName | None:
        """An error for the first name that this package does not know, such as that of a classifier."""
        return None

    def choose(self, what: str, names: Sequence[str]) -> list[str]:
        """`names`, each once, in their order; `what` is a key of `lists`. Raises `UnknownName`."""
        known = self.lists()[what]
        for name in names:
            if name not in known:
                raise UnknownName(f"{what.removesuffix('s')} of suite {self.name}", name, known)
        return list(dict.fromkeys(names))

    def choose_one(self, what: str, name: str | None) -> str:
        """`name`, or the first of `lists()[what]` where it is None. Raises `UnknownName`."""
        return self.lists()[what][0] if name is None else self.choose(what, [name])[0]


def check_names(owner: str, what: str, names: Sequence[str], known: Mapping[str, object]) -> None:
    """Raise `ValueError` for the first of `names` that is not in `known`."""
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{owner} to name {what} of the suite, but not {unknown[0]!r}")


def digest_of(content: Any) -> str:
    """Hex SHA-256 of a JSON-like `content`, which does not depend on the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
