"""Reading TOML into validated models: unknown keys and wrong types are refused with one line."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from covid_synth_data.errors import ConfigError


class FrozenModel(BaseModel):
    """Base of all tables of a TOML file: frozen, strict about types, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Model = TypeVar("Model", bound=FrozenModel)


def read_toml(path: Path, model: type[Model]) -> Model:
    """The file at `path` as a `model`. Raises `ConfigError` naming file, key and what was expected."""
    if not path.is_file():
        raise ConfigError(f"no file {path}", expected="a TOML file", hint="check the path")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        # ValueError is also what Python says of bytes that are no UTF-8 and of a number of 5,000 digits.
        raise ConfigError(
            f"{path} is not valid TOML", found=str(error), expected="TOML in UTF-8", hint="mend that line"
        ) from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _explain(path, model, error) from error


def _explain(path: Path, model: type[FrozenModel], error: ValidationError) -> ConfigError:
    """The first problem that pydantic found, as our one line."""
    # A misspelt key is both unknown and missing; the first says more.
    problem = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = sorted(_keys_at(model, problem["loc"][:-1]))
        close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        return ConfigError(
            f"{path}: unknown key {where!r}",
            expected="one of " + ", ".join(known) if known else "a known key",
            hint=f"did you mean {close[0]!r}?" if close else "remove the key",
        )
    if problem["type"] == "missing":
        return ConfigError(f"{path}: the key {where!r} is missing", hint="add it")
    return ConfigError(
        f"{path}: wrong value for {where!r}",
        found=repr(problem["input"])[:80],
        expected=problem["msg"].removeprefix("Input should be ").removeprefix("Value error, "),
        hint="mend that key",
    )


def _keys_at(model: type[FrozenModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that a nested table may have; empty where the path leaves the models."""
    current: type[BaseModel] = model
    for part in location:
        field = current.model_fields.get(str(part))
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        nested = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not nested:
            return []
        current = nested[0]
    return list(current.model_fields)
