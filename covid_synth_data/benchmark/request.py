"""A request: everything that one call of the benchmark asks for, validated once.

The same object travels from the shell to the engine, to the worker that trains and
to the nodes of a cluster.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError, model_validator

from covid_synth_data import catalog
from covid_synth_data.benchmark.suite import (
    AnySuite,
    ClassificationSuite,
    Preprocessing,
    SegmentationSuite,
    Suite,
    Weights,
    derived,
    half_samples_of,
    load_classifiers,
    load_suite,
    resized,
    resplit,
)
from covid_synth_data.benchmark.suite import own as own_models
from covid_synth_data.classifiers.registry import entry
from covid_synth_data.errors import ConfigError
from covid_synth_data.files.models import FrozenModel, invalid
from covid_synth_data.release import loading, places

Progress = Callable[[int, int, str], None]
"""Called with the steps done, the number of all steps, and a few words on the work."""

AnyPath = Annotated[Path, Field(strict=False)]
Names = Annotated[list[str], Field(strict=False)]


@dataclass(frozen=True)
class Run:
    """One training, which gives one result file.

    `task` and `model` name what is trained: a task and a classifier; for label maps the protocol of the split
    and the profile whose U-Net is trained. `fold` is null where the suite has no folds.
    """

    task: str
    model: str
    regime: str
    seed: int
    fold: int | None = None

    @property
    def title(self) -> str:
        """The run in a few words, for a progress bar."""
        fold = "" if self.fold is None else f" fold {self.fold}"
        return f"{self.model} {self.regime} seed {self.seed}{fold}"


class Request(FrozenModel):
    """A request to a suite of any kind; see `benchmark.run`."""

    suite: Suite
    out: AnyPath
    root: AnyPath | None = None
    release: AnyPath | None = None
    version: str | None = None
    profile: str | None = None
    regimes: Names | None = None
    seeds: list[int] | None = None
    limit: int | None = None
    skip_missing: bool = False
    device: str = "auto"
    cache_dir: AnyPath | None = None
    ray: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Request:
        if self.limit is not None and self.limit < 1:
            raise ConfigError(
                "no such limit", found=str(self.limit), expected="at least 1 real training image"
            )
        self.runs()
        return self

    @property
    def profile_name(self) -> str:
        """The profile that was asked for, or the first of the suite."""
        return self.suite.choose_one("profiles", self.profile)

    @property
    def seed_numbers(self) -> list[int]:
        """The seeds that were asked for, or those of the profile."""
        return list(range(self.suite.profiles[self.profile_name].seeds)) if self.seeds is None else self.seeds

    @property
    def regime_names(self) -> list[str]:
        """The regimes that were asked for, or those of the profile."""
        names = self.regimes
        if names is None:
            names = self.suite.regimes_in(self.profile_name)
        return self.suite.choose("regimes", names)

    @abstractmethod
    def runs(self) -> list[Run]:
        """The trainings that are asked for, in order. Raises `UnknownName`, `ConfigError`."""


class ClassificationRequest(Request):
    """A request to train classifiers. `weights` replaces the initial weights of every model. The regimes
    `optional` are left out with a warning where there are too few synthetic films for them."""

    suite: ClassificationSuite
    tasks: Names | None = None
    models: Names | None = None
    weights: Weights | None = None
    preprocessing: Preprocessing | None = None
    optional: Names = Field(default_factory=list)

    @model_validator(mode="after")
    def _models_can_start(self) -> ClassificationRequest:
        for model in dict.fromkeys(run.model for run in self.runs()):
            weights = self.weights_of(model)
            if weights not in entry(model).weights:
                raise ConfigError(
                    f"classifier {model} cannot start from weights {weights!r}",
                    expected=" or ".join(entry(model).weights),
                    hint="leave that model or those weights out",
                )
        return self

    @property
    def films(self) -> Preprocessing:
        """The preprocessing of all films."""
        return self.preprocessing or self.suite.preprocessing

    def weights_of(self, model: str) -> Weights:
        """The initial weights of `model`."""
        return self.weights or self.suite.models[model].weights

    def runs(self) -> list[Run]:
        """Task by task, then by fold, model, regime and seed. Raises `UnknownName`, `ConfigError`."""
        suite, regimes = self.suite, self.regime_names
        models = self.models
        if models is None:
            models = suite.profiles[self.profile_name].models
        folds: Sequence[int | None] = range(suite.folds) if suite.folds > 1 else [None]
        runs = [
            Run(task, model, regime, seed, fold)
            for task in suite.choose("tasks", self.tasks if self.tasks is not None else suite.tasks[:1])
            for fold in folds
            for model in suite.choose("models", models)
            for regime in regimes
            if regime in suite.regimes_of(task)
            for seed in self.seed_numbers
        ]
        return _some(runs, regimes)


class SegmentationRequest(Request):
    """A request to train U-Nets. `size` replaces the side of the profile's slices, in pixels."""

    suite: SegmentationSuite
    protocol: str | None = None
    size: int | None = None

    @model_validator(mode="after")
    def _size_fits(self) -> SegmentationRequest:
        multiple = self.suite.profiles[self.profile_name].network.multiple
        if self.size is not None and (self.size < 32 or self.size % multiple):
            raise ConfigError(
                "no such size", found=str(self.size), expected=f"a multiple of {multiple}, 32 or more"
            )
        return self

    @property
    def side(self) -> int:
        """The side of the slices in pixels."""
        return self.size or self.suite.profiles[self.profile_name].size

    def runs(self) -> list[Run]:
        """Seed by seed, then by regime. Raises `UnknownName`, `ConfigError`."""
        protocol, regimes = self.suite.choose_one("protocols", self.protocol), self.regime_names
        runs = [
            Run(protocol, self.profile_name, regime, seed) for seed in self.seed_numbers for regime in regimes
        ]
        return _some(runs, regimes)


REQUESTS: Final[dict[str, Any]] = {
    "classification": ClassificationRequest,
    "segmentation": SegmentationRequest,
}
"""The model of a request by the kind of its suite."""


def make_request(
    suite: str | Path | AnySuite,
    *,
    seeds: int | Sequence[int] | None = None,
    half_samples: bool = False,
    **options: Any,
) -> ClassificationRequest | SegmentationRequest:
    """The request for `suite`, its name, or the path of its file, with the `options` of `benchmark.run`.

    A number n of `seeds` stands for the seeds 0 to n - 1; an option of None or False is not given. `configs`
    are synthetic configs that the suite need not name: regimes are derived for them (`suite.derived`) and run
    beside the baselines of real films, unless `regimes` says otherwise; a skew that the images cannot reach
    then is left out with a warning. `models` may name classifiers of the
    user (`classifiers.own`). With `half_samples` the suite is SUITE@half-samples, with a `size` SUITE@128px
    and the like, with a `split_seed` SUITE@split-1 and the like. Raises `UnknownName` for a name that the
    suite does not have, `ConfigError` for an option that suites of its kind do not have and for a value that
    cannot be.
    """
    loaded = suite if isinstance(suite, Suite) else load_suite(suite)
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    if isinstance(loaded, ClassificationSuite) and (side := given.pop("size", None)) is not None:
        loaded = resized.with_side(loaded, side)
    if isinstance(loaded, ClassificationSuite) and (split := given.pop("split_seed", None)) is not None:
        loaded = resplit.with_split(loaded, split)
    if half_samples:
        loaded = half_samples_of(loaded)
    model = REQUESTS[loaded.kind]
    if isinstance(loaded, ClassificationSuite) and (configs := given.pop("configs", None)):
        if "regimes" not in given:
            given["regimes"] = derived.names_for(loaded, configs)
            given["optional"] = derived.skews_for(loaded, configs)
        if "release" not in given:
            given["release"] = _release_with(loaded.release_name, configs)
        loaded = derived.with_configs(loaded, configs)
    if isinstance(loaded, ClassificationSuite) and "models" in given:
        loaded, given["models"] = own_models.with_models(loaded, given["models"])
    allowed = [name for name in model.model_fields if name != "suite"]
    for name in given:
        if name not in allowed:
            raise ConfigError(
                f"the suite {loaded.name} is one of {loaded.kind} and has no option {name!r}",
                expected="one of " + ", ".join(allowed),
                hint="leave it out",
            )
    try:
        request: ClassificationRequest | SegmentationRequest
        request = model(suite=loaded, seeds=_seeds(seeds), **given)
        return request
    except ValidationError as error:
        subject = f"the request for the suite {loaded.name}"
        raise invalid(ConfigError, subject, error, model, "change that option") from error


def _release_with(dataset: str, configs: Sequence[str]) -> Path | None:
    """The folder of the release with these configs, where COVID_SYNTH_RELEASES names it; else None."""
    own = [name for name in configs if name not in {item.config for item in catalog.DATASETS}]
    if not own:
        return None
    for name in own:
        loading.entry(dataset, name)
    place = places.find(dataset, own)
    return place.folder if place is not None else None


def request_classifiers(suite: str | Path | ClassificationSuite, **options: Any) -> ClassificationRequest:
    """As `make_request`, for what only classifiers can do. Raises `ConfigError` for a suite of U-Nets."""
    loaded = suite if isinstance(suite, ClassificationSuite) else load_classifiers(suite)
    request = make_request(loaded, **options)
    assert isinstance(request, ClassificationRequest)  # noqa: S101 - so says the kind of the suite
    return request


def _seeds(seeds: int | Sequence[int] | None) -> list[int] | None:
    """The seeds 0 to n - 1 of a number n, or those of a list, each once. Raises `ConfigError`."""
    if seeds is None:
        return None
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(dict.fromkeys(seeds))
    if not numbers or min(numbers) < 0:
        raise ConfigError("no such seeds", found=str(seeds), expected="a number of seeds, or seeds from 0 on")
    return numbers


def _some(runs: list[Run], regimes: Sequence[str]) -> list[Run]:
    """`runs`. Raises `ConfigError` where there are none."""
    if not runs:
        raise ConfigError(
            "nothing to run",
            found="regimes " + (", ".join(regimes) or "of no name"),
            expected="regimes that belong to the task",
            hint="see covid-synth benchmark list",
        )
    return runs
