"""A suite of classification: which films, the regimes and the classifiers that are compared.

A regime names configs of a released dataset and the rule by which they join the real films, so a new dataset
config is benchmarked by one more table of a suite and no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from covid_synth_data.benchmark.suite import recipes
from covid_synth_data.benchmark.suite.base import BaseProfile, BaseRegime, Name, Suite, check_names
from covid_synth_data.benchmark.suite.made import Made, Released
from covid_synth_data.errors import UnknownName
from covid_synth_data.files.models import FrozenModel

Preprocessing = Literal["plain", "re-encoded", "harmonised", "lungs"]
"""What is done to films before a network sees them; see `covid_synth_data.preprocessing`."""

Weights = Literal["imagenet", "xrv", "none"]
Mix = Literal["real", "add", "skew", "synthetic-only"]


class Plateau(FrozenModel):
    """The learning rate times `factor` after `patience` epochs in which the validation loss did not fall by
    1e-4, down to `least`: Keras's ReduceLROnPlateau, whose default that threshold is."""

    factor: Annotated[float, Field(gt=0, lt=1)]
    patience: Annotated[int, Field(ge=1)]
    least: Annotated[float, Field(ge=0)] = 0.0


class Training(FrozenModel):
    """How a classifier is trained.

    `learning_rate` belongs to `optimizer`; `patience` is in epochs without a lower loss on the validation
    films. `monitor` is that loss: `loss` as it is in the training objective, or `balanced-loss`, the mean
    of the losses of the two classes, which means the same under every regime whatever its skew. An epoch
    draws each training film once, or `epoch_films` of them, so that regimes with more films take no more
    steps. The learning rate is constant, or reduced as `plateau` says.
    """

    optimizer: Literal["adadelta", "adam"] = "adadelta"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 1e-3
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 16
    max_epochs: Annotated[int, Field(ge=1, le=10_000)] = 200
    patience: Annotated[int, Field(ge=1)] = 15
    monitor: Literal["balanced-loss", "loss"] = "balanced-loss"
    epoch_films: Annotated[int, Field(ge=2)] | None = None
    plateau: Plateau | None = None

    def rule(self) -> dict[str, Any]:
        """All of it, for a digest; keys that came later only where they say something, so that older results
        stay what they are."""
        later = {"epoch_films", "plateau"}
        return self.model_dump(exclude={key for key in later if getattr(self, key) is None})


class TrainingChange(FrozenModel):
    """Deviations of a model from the training table of its suite."""

    optimizer: Literal["adadelta", "adam"] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=10)] | None = None
    batch_size: Annotated[int, Field(ge=2, le=4096)] | None = None
    max_epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None
    patience: Annotated[int, Field(ge=1)] | None = None
    monitor: Literal["balanced-loss", "loss"] | None = None
    epoch_films: Annotated[int, Field(ge=2)] | None = None
    plateau: Plateau | None = None


class Regime(BaseRegime):
    """The training set of a classifier.

    `mix` says how the configs in `synthetic` join the real training films: `real` not at all; `add` all of
    them (zunair2021, Sect. 4.6); `skew` as many as bring negatives / positives to `skew`; `synthetic-only`
    all of them as the only positives, beside the real negatives (Sect. 4.7). With `positives`, `add` and
    `synthetic-only` draw as many synthetic positives by the seed as bring the positives in all to that number
    (menon2020, Sect. V: 159 real + 1,241 generated). `sampling` draws films as they come or all classes
    equally often; `loss` counts each film alike, or each class; `augment` is none, or the plain kind (small
    rotations, shifts, zooms, brightness; never flips: the heart would change side). `join` says whether one
    classifier learns from all films, or one from the real films and one from the synthetic ones, whose scores
    are added (`training.added`), or one that learns from the synthetic films first and then from the real
    ones ("fine-tune"). `batches` is "pairs" where a synthetic film and the film that it was made of go into
    one batch. With `held`, the positives that `Data.held_findings` holds back are trained
    on as well. With `generator_films`, the real positives that the generator of that released config was
    trained on join the real films: whoever has the generator could have had them too (equal data). With
    `retraced`, the films of that made config take the place of the real films that they were made of, so that
    what the encoding of a release leaves in an image is in films of all classes. `tasks` are those of the
    suite that the regime belongs to; null means all.
    """

    synthetic: list[Name] = Field(default_factory=list)
    mix: Mix
    skew: Annotated[float, Field(gt=0)] | None = None
    positives: Annotated[int, Field(ge=1)] | None = None
    sampling: Literal["natural", "class-balanced"] = "natural"
    loss: Literal["plain", "class-weighted"] = "plain"
    augment: Literal["none", "plain"] = "none"
    join: Literal["films", "scores", "fine-tune"] = "films"
    batches: Literal["films", "pairs"] = "films"
    held: bool = False
    generator_films: Name | None = None
    retraced: Name | None = None
    tasks: list[Name] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Regime:
        if (self.mix == "real") == bool(self.synthetic):
            raise ValueError('synthetic configs for every mix but "real", and none for that')
        if (self.mix == "skew") != (self.skew is not None):
            raise ValueError('a skew exactly where mix = "skew"')
        if self.positives is not None and self.mix not in ("add", "synthetic-only"):
            raise ValueError('positives only where mix = "add" or "synthetic-only"')
        if self.join != "films" and self.mix != "add":
            raise ValueError(f'join = "{self.join}" only where mix = "add"')
        if self.batches == "pairs" and (not self.synthetic or self.sampling != "natural"):
            raise ValueError('batches = "pairs" only with synthetic configs and sampling = "natural"')
        if self.retraced is not None and (self.held or self.generator_films is not None):
            raise ValueError(
                "retraced films of the training part alone, without held ones or generator_films"
            )
        if len(set(self.synthetic)) != len(self.synthetic):
            raise ValueError("each synthetic config once")
        return self

    def rule(self) -> dict[str, Any]:
        """The settings that predictions depend on, for a digest: those that differ from the defaults, without
        the title, so that a key which is added later does not change the digests of older suites."""
        return self.model_dump(exclude={"title"}, exclude_defaults=True)

    @property
    def baseline(self) -> bool:
        """Whether this is real films alone, none held back: what a regime with synthetic films is compared
        with. Films that a generator was trained on may be among them."""
        return self.mix == "real" and not self.held

    @property
    def configs(self) -> list[str]:
        """The configs that the regime names: those that it trains on, and that whose generator's films it
        trains on."""
        return list(
            dict.fromkeys([*self.synthetic, *([self.generator_films] if self.generator_films else [])])
        )

    @property
    def honest(self) -> bool:
        """Whether this is a baseline that does something about the imbalance or the scarcity."""
        return self.baseline and (
            self.sampling != "natural" or self.loss != "plain" or self.augment != "none"
        )


class Model(FrozenModel):
    """A classifier of the suite: its initial weights and what its training changes.

    `own` is MODULE:ATTRIBUTE of a classifier that is in no table; see `classifiers.own`.
    """

    weights: Weights = "imagenet"
    training: TrainingChange = TrainingChange()
    own: str | None = None

    @model_validator(mode="after")
    def _own_starts_from_nothing(self) -> Model:
        if self.own is not None and self.weights != "none":
            raise ValueError('weights = "none" where own names a classifier')
        return self


class Profile(BaseProfile):
    """A choice of models, seeds and perhaps regimes for one purpose.

    Without `crossed` the regimes that `recipes.cross` makes are left out, unless they are named.
    """

    models: Annotated[list[Name], Field(min_length=1)]
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    crossed: bool = True


class Data(FrozenModel):
    """Which real films the tasks are made of; null means what the task says by itself.

    `max_positives` and `max_negatives` are the largest numbers of real films of a class to train on, drawn by
    `split_seed`: they make an imbalance, or take one away; `max_per_class` bounds every class (menon2020 and
    hussain2022 train on equal numbers). Training positives of `held_findings` (`source_class`, or
    "source:NAME" for all of a source) are for regimes with `held` alone. `generators_saw` are the parts that
    a generator of the release may have learned from; films of the others never taught one. With
    `half_samples` each seed trains on a half of the training patients of its own (`suite.half_samples`).
    """

    sources: list[Name] | None = None
    licences: Literal["any", "permissive"] = "any"
    phantom: dict[str, int] | None = None
    split_seed: int = 0
    max_positives: Annotated[int, Field(ge=1)] | None = None
    max_negatives: Annotated[int, Field(ge=1)] | None = None
    max_per_class: Annotated[int, Field(ge=1)] | None = None
    held_findings: list[str] = Field(default_factory=list)
    generators_saw: list[Literal["train", "validation"]] = Field(
        default_factory=lambda: list[Literal["train", "validation"]](("train",))
    )
    half_samples: bool = False


class ClassificationSuite(Suite):
    """A suite of classifiers. The first of `tasks` is run when no other is asked for.

    `folds` above 1 make every training one per fold of a protocol that has folds: each film is then tested
    once. `preprocessing` is done to all films, real and synthetic. The regimes in `cross` are repeated under
    the recipe of each other baseline; see `recipes.cross`. `made` are configs made from the training films.
    """

    kind: Literal["classification"] = "classification"
    tasks: Annotated[list[Name], Field(min_length=1)]
    protocol: Name = "clean"
    dataset: Name = "covid-synth-cxr"
    image_size: Annotated[int, Field(ge=16, le=1024)] = 256
    preprocessing: Preprocessing = "plain"
    folds: Annotated[int, Field(ge=1, le=20)] = 1
    positive: Name = "covid-19"
    augment_views: Annotated[int, Field(ge=1, le=64)] = 4
    data: Data = Data()
    training: Training = Training()
    cross: list[Name] = Field(default_factory=list)
    made: dict[Name, Made] = Field(default_factory=dict)
    regimes: Annotated[dict[Name, Regime], Field(min_length=1)]
    models: Annotated[dict[Name, Model], Field(min_length=1)]
    profiles: Annotated[dict[Name, Profile], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _crossed(cls, content: Any) -> Any:
        return recipes.cross(content)

    @model_validator(mode="after")
    def _names_exist(self) -> ClassificationSuite:
        for name, regime in self.regimes.items():
            if set(regime.tasks or []) - set(self.tasks):
                raise ValueError(f"regime {name} to name tasks of the suite, but not {regime.tasks}")
            if regime.generator_films in self.made:
                raise ValueError(f"regime {name} to name a released config in generator_films")
            kinds = {config: one.kind for config, one in self.made.items()}
            if regime.retraced is not None and kinds.get(regime.retraced) != "retraced":
                raise ValueError(f'regime {name} to name a made config of kind "retraced" in retraced')
            if any(kinds.get(config) == "retraced" for config in regime.synthetic):
                raise ValueError(f"regime {name} to name retraced films in retraced, not in synthetic")
        for name, profile in self.profiles.items():
            check_names(f"profile {name}", "models", profile.models, self.models)
        return self

    @property
    def release_name(self) -> str:
        """The name of the released dataset."""
        return self.dataset

    def regimes_in(self, profile: str) -> list[str]:
        """As in the base; crossed regimes only where the profile wants them or names them."""
        names = super().regimes_in(profile)
        chosen = self.profiles[profile]
        if chosen.crossed or chosen.regimes is not None:
            return names
        return [name for name in names if recipes.AT not in name]

    def configs_of(self, regime: str) -> list[str]:
        """The configs of the release that `regime` needs, its synthetic ones first."""
        configs = [self.made.get(name, name) for name in self.regimes[regime].configs]
        names = [config.config if isinstance(config, Released) else config for config in configs]
        return list(dict.fromkeys(name for name in names if isinstance(name, str)))

    def made_for(self, regime: str) -> dict[str, Made]:
        """The configs of `regime` that are made from the training films."""
        rule = self.regimes[regime]
        names = [*rule.synthetic, *([rule.retraced] if rule.retraced else [])]
        return {name: self.made[name] for name in names if name in self.made}

    def lists(self) -> dict[str, Sequence[str]]:
        """Tasks, models, regimes and profiles."""
        return {
            "tasks": self.tasks,
            "models": list(self.models),
            "regimes": list(self.regimes),
            "profiles": list(self.profiles),
        }

    def problem(self) -> UnknownName | None:
        """An error for the first model that is in no table of classifiers."""
        from covid_synth_data.classifiers.registry import CLASSIFIERS

        unknown = [
            name for name, model in self.models.items() if (name in CLASSIFIERS) == (model.own is not None)
        ]
        return UnknownName("classifier", unknown[0], CLASSIFIERS) if unknown else None

    def regimes_of(self, task: str) -> list[str]:
        """The regimes that belong to `task`, in the order of the suite."""
        return [name for name, regime in self.regimes.items() if regime.tasks is None or task in regime.tasks]

    def training_of(self, model: str) -> Training:
        """The training table of `model`: that of the suite with the model's changes."""
        changes = self.models[model].training.model_dump(exclude_none=True)
        return Training.model_validate({**self.training.model_dump(), **changes})
