"""Classifiers of the user, by the contract of scikit-learn over films.

    --model my_models:Forest            the attribute `Forest` of the module `my_models`
    --model my-forest                   an entry point of the group `covid_synth_data.classifiers`
    --model timm:convnext_tiny.fb_in1k  a pretrained network of timm, see `timm_probe`

The attribute is a class or function that is called with a seed and returns an object with

    fit(films, labels, sample_weight)   uint8 (n, side, side), int64 (n,), float32 (n,)
    predict_proba(films)                probabilities (n, classes); rows sum to 1

An object with `classes_` may give a column for each of these labels alone, as scikit-learn does. Modules are
looked for where Python looks, and in the working folder.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import inspect
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from covid_synth_data.classifiers import timm_probe
from covid_synth_data.classifiers.registry import CLASSIFIERS
from covid_synth_data.errors import ConfigError, UnknownName
from covid_synth_data.files.fields import Line, Sha256
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.files.pixels import Grey

GROUP: Final = "covid_synth_data.classifiers"

_TOLERANCE: Final = 1e-4
"""By how much a row of probabilities may miss the sum of 1; it is divided by its sum."""


class Estimator(Protocol):
    """The methods that a classifier of the user must have."""

    def fit(
        self, films: Grey, labels: npt.NDArray[np.int64], sample_weight: npt.NDArray[np.float32]
    ) -> object:
        """Learn from films (n, side, side)."""
        ...

    def predict_proba(self, films: Grey) -> npt.NDArray[Any]:
        """Probabilities (n, classes)."""
        ...


class Origin(FrozenModel):
    """Which classifier a result is of: MODULE:ATTRIBUTE, and the sha256 of the file of the module; of a
    network of timm that of its weights."""

    origin: Line
    sha256: Sha256


def named(asked: str) -> tuple[str, str] | None:
    """The name in results and the origin MODULE:ATTRIBUTE of what `--model` asks for; None for other names.

    The name of `my_models:Forest` is `my_models.forest`; an entry point has its own.
    """
    if ":" in asked:
        name = re.sub(r"[^a-z0-9+._@-]", "-", asked.replace(":", ".").lower()).lstrip("+._@-")
        return (name, asked) if name else None
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name == asked and asked not in CLASSIFIERS:
            return asked, point.value
    return None


def entry_points() -> list[str]:
    """The names of the classifiers that installed packages offer."""
    return sorted({point.name for point in importlib.metadata.entry_points(group=GROUP)})


def origin_of(origin: str) -> Origin:
    """The description of the classifier in a result. Raises as `factory` does."""
    factory(origin)
    kind, _, network = origin.partition(":")
    if kind == timm_probe.PREFIX:
        return Origin(origin=origin, sha256=timm_probe.digest(network))
    module = sys.modules[origin.partition(":")[0]]
    content = Path(module.__file__).read_bytes() if module.__file__ else b""
    return Origin(origin=origin, sha256=hashlib.sha256(content).hexdigest())


def factory(origin: str) -> Any:
    """The class or function at MODULE:ATTRIBUTE. Raises `ConfigError`, `UnknownName`."""
    module_name, _, attribute = origin.partition(":")
    if not module_name or not attribute:
        raise ConfigError(
            "no such classifier", found=repr(origin)[:120], expected="MODULE:ATTRIBUTE, e.g. my_models:Forest"
        )
    if module_name == timm_probe.PREFIX:
        timm_probe.check(attribute)
        return lambda seed: timm_probe.Probe(attribute)
    if str(Path.cwd()) not in sys.path:  # a console script does not look in the working folder
        sys.path.append(str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise  # a module that theirs imports
        raise ConfigError(
            f"no module {module_name!r}",
            found="none on the path of Python or in the working folder",
            expected=f"{module_name.replace('.', os.sep)}.py, or an installed package",
            hint="run in the folder of that file",
        ) from error
    made = getattr(module, attribute, None)
    if made is None:
        public = [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]
        raise UnknownName(f"attribute of {module_name}", attribute, public)
    if not callable(made):
        raise ConfigError(
            f"{origin} cannot be called",
            found=type(made).__name__,
            expected="a class or function that is called with a seed",
            hint="write def make(seed): return ...",
        )
    return made


def build(origin: str, seed: int) -> Estimator:
    """A fresh classifier, drawn from `seed`. Raises `ConfigError` where it lacks a method."""
    made = factory(origin)
    try:
        inspect.signature(made).bind(seed)
    except TypeError as error:
        raise ConfigError(
            f"{origin} takes no seed", found=str(error), expected="one argument, the seed"
        ) from error
    estimator: Estimator = made(seed)
    missing = [name for name in ("fit", "predict_proba") if not callable(getattr(estimator, name, None))]
    if missing:
        raise ConfigError(
            f"{origin} gives no classifier",
            found=f"{type(estimator).__name__} without {' and '.join(missing)}",
            expected="fit(films, labels, sample_weight) and predict_proba(films)",
        )
    return estimator


def probabilities(estimator: Estimator, films: Grey, classes: int, origin: str) -> npt.NDArray[np.float64]:
    """Its predictions, float64 (n, classes). Raises `ConfigError` unless they are probabilities."""
    probabilities = np.asarray(estimator.predict_proba(films), np.float64)
    columns: Iterable[Any] = getattr(estimator, "classes_", range(classes))
    places = [int(label) for label in columns]
    expected = (len(films), len(places))
    if probabilities.shape != expected or not set(places) <= set(range(classes)):
        raise _no_probabilities(origin, f"{probabilities.shape} for classes {places}", f"shape {expected}")
    sums = probabilities.sum(axis=1, keepdims=True)
    if not (
        np.isfinite(probabilities).all()
        and (probabilities >= 0).all()
        and np.allclose(sums, 1, atol=_TOLERANCE)
    ):
        raise _no_probabilities(origin, "numbers below 0, not finite, or of another sum", "rows of sum 1")
    out = np.zeros((len(films), classes))
    out[:, places] = probabilities / sums
    return out


def _no_probabilities(origin: str, found: str, expected: str) -> ConfigError:
    return ConfigError(
        f"{origin}: predict_proba gives no probabilities", found=found, expected=expected, hint="mend it"
    )
