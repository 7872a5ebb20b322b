"""Painted lesions: a family without networks and without training."""

from __future__ import annotations

from typing import ClassVar, Literal

from generation.kinds.painting import PAINTING
from generation.recipe import HostRecipe


class LesionRecipe(HostRecipe):
    """A recipe of this family."""

    family: Literal["lesions"]


class Lesions:
    """The family object through which a recipe finds its model and its kind."""

    Recipe = LesionRecipe
    kind: ClassVar = PAINTING
