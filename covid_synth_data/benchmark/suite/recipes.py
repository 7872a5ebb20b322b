"""Recipes crossed: each synthetic regime under the sampling, loss and augmentation of each baseline.

A gain of synthetic films is a gain over real films that were trained on in the same way. So a suite states
its synthetic regimes once and lists them in `cross`; the others follow from its baselines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

AT: Final = "@"
"""Between the name of a regime and that of a recipe: "real+gnc@augmented" is `real+gnc` trained as
`real-augmented` is."""

RECIPE: Final = {"sampling": "natural", "loss": "plain", "augment": "none"}
"""The keys of a regime that make its recipe, and the values of the natural one."""

_REAL: Final = "real-"
_OTHER_REAL: Final = ("generator_films", "retraced")  # Keys that give a regime other real films than `real`.


def cross(content: Any) -> Any:
    """The `content` of a suite with the crossed regimes, each after the regime that it comes from.

    A baseline called real-NAME gives the recipe NAME. A regime that is there already, by its name or with
    the same rule under another, is not made again, so that crossing twice changes nothing. Raises
    `ValueError` for a name in `cross` that is no regime of the natural recipe with synthetic films, with
    those that a generator was trained on, or with real films in another encoding.
    """
    if not isinstance(content, Mapping) or not content.get("cross"):
        return content
    regimes = content.get("regimes")
    if not isinstance(regimes, Mapping) or not all(isinstance(one, Mapping) for one in regimes.values()):
        return content  # The model of a suite says what is wrong with them.
    recipes = {
        name.removeprefix(_REAL): rule
        for name, rule in regimes.items()
        if rule.get("mix") == "real"
        and not rule.get("held")
        and not any(rule.get(key) for key in _OTHER_REAL)
        and recipe_of(rule) != RECIPE
    }
    made: dict[str, Any] = {}
    existing = [_without_title(rule) for rule in regimes.values()]
    for name in content["cross"]:
        rule = regimes.get(name, {})
        changed = any(rule.get(key) for key in ("synthetic", *_OTHER_REAL))
        if recipe_of(rule) != RECIPE or not changed:
            raise ValueError(f"cross to name synthetic regimes without a recipe, but not {name!r}")
    for name, rule in regimes.items():
        made[name] = rule
        for recipe, baseline in recipes.items() if name in content["cross"] else ():
            crossed = {**rule, **recipe_of(baseline), "title": f"{rule.get('title', name)}, {recipe}"}
            tasks = _both(rule.get("tasks"), baseline.get("tasks"))
            crossed |= {} if tasks is None else {"tasks": tasks}
            if (
                f"{name}{AT}{recipe}" not in regimes
                and _without_title(crossed) not in existing
                and tasks != []
            ):
                made[f"{name}{AT}{recipe}"] = crossed
    return {**content, "regimes": made}


def recipe_of(rule: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe that the table of a regime states."""
    return {key: rule.get(key, natural) for key, natural in RECIPE.items()}


def _without_title(rule: Mapping[str, Any]) -> dict[str, Any]:
    stated = {key: value for key, value in rule.items() if key != "title" and value is not None}
    return stated | recipe_of(rule)


def _both(first: list[str] | None, second: list[str] | None) -> list[str] | None:
    """The tasks of both regimes; None stands for all."""
    if first is None or second is None:
        return second if first is None else first
    return [name for name in first if name in second]
