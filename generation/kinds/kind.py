"""The base of all kinds of generators, and the look-up of the kind of a recipe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from covid_synth_data.errors import WeightsError
from generation.kinds.maker import Maker
from generation.recipe import Recipe, family

if TYPE_CHECKING:
    from generation.data.films import Progress, TrainingImages

G = TypeVar("G")
"""The class of a trained generator."""


class Kind(ABC):
    """A kind of generator: makes the rows of a release from a recipe."""

    @abstractmethod
    def maker(self, recipe: Any, root: Path | None, weights: Path | None, device: str = "auto") -> Maker:
        """The maker of the recipe's release.

        `recipe` is one of this kind with a table [release]; `root` holds the real sets; `weights` is None for
        a kind that has none. Raises `WeightsError` for weights of another kind, and errors of reading films.
        """


class TrainedKind(Kind, Generic[G]):
    """A kind whose generators are trained, and kept as a weights file with a card."""

    card_kind: ClassVar[str]
    """The kind as the card of the weights names it."""

    @abstractmethod
    def read(self, recipe: Any, root: Path | None, progress: Progress) -> Sequence[TrainingImages]:
        """The training images of a recipe, by class; `progress` gets (done, all)."""

    def load(self, weights: Path, device: str = "auto") -> G:
        """The generator of a weights file. Raises `WeightsError` for weights of another kind."""
        from covid_synth_data.generators import trained
        from covid_synth_data.generators import weights as weight_files

        kind = weight_files.read_card(weights).kind
        if kind != self.card_kind:
            raise WeightsError(
                f"{weights} does not go with this recipe or command",
                found=f"a {kind}",
                expected=f"a {self.card_kind}",
                hint="give the weights that were trained by the recipe",
            )
        return cast("G", trained.load_file(weights, device))


def required(weights: Path | None, recipe: Recipe) -> Path:
    """The weights of a recipe that needs some. Raises `WeightsError`."""
    if weights is None or not weights.is_file():
        raise WeightsError(
            f"no weights {weights or ''}".rstrip(),
            expected="the weights of a finished training",
            hint=f"train the recipe {recipe.name} first: python -m generation train RECIPE",
        )
    return weights


def kind_of(recipe: Recipe) -> Kind:
    """The kind of the recipe's family. Raises `UnknownName`."""
    kind: Kind = family(recipe.family).kind
    return kind


def maker_of(recipe: Recipe, root: Path | None, weights: Path | None, device: str = "auto") -> Maker:
    """The maker of the recipe's release; see `Kind.maker`."""
    return kind_of(recipe).maker(recipe, root, weights, device)
