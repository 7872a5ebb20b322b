"""Reading TOML into validated models: unknown keys and wrong types are refused with one line."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from covid_synth_data.errors import ConfigError, CovidSynthError
from covid_synth_data.files.fields import WORDS

MEND: Final = "mend that key"


class FrozenModel(BaseModel):
    """Base of all tables of a TOML file: frozen, strict about types, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Model = TypeVar("Model", bound=FrozenModel)
Refused = TypeVar("Refused", bound=CovidSynthError)


def read_toml(path: Path, model: type[Model]) -> Model:
    """The file at `path` as a `model`. Raises `ConfigError` naming file, key and what was expected."""
    if not path.is_file():
        raise ConfigError(f"no file {path}", expected="a TOML file", hint="check the path")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        # Python also raises ValueError for bytes that are not UTF-8 and for a number of 5,000 digits.
        raise ConfigError(
            f"{path} is not valid TOML", found=str(error), expected="TOML in UTF-8", hint="mend that line"
        ) from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise invalid(ConfigError, str(path), error, model) from error


def invalid(
    kind: type[Refused],
    subject: str,
    error: ValidationError,
    model: type[BaseModel] | None = None,
    hint: str = MEND,
) -> Refused:
    """An error of `kind` that names the first problem of `error` with `subject`, a file or a part of one.

    `model` is what the content should have been: with it, an unknown key is answered with the known ones.
    `hint` is the next step; a misspelt or missing key has its own.
    """
    # A misspelt key is both unknown and missing; the first says more.
    problem = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "json_invalid":
        return kind(
            f"{subject}: not valid JSON", found=str(problem["ctx"]["error"]), expected="JSON", hint=hint
        )
    if problem["type"] == "extra_forbidden":
        known = sorted(_keys_at(model, problem["loc"][:-1])) if model else []
        close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        return kind(
            f"{subject}: unknown key {where!r}",
            expected="one of " + ", ".join(known) if known else "a known key",
            hint=f"did you mean {close[0]!r}?" if close else "remove the key",
        )
    if problem["type"] == "missing":
        return kind(f"{subject}: the key {where!r} is missing", hint="add it" if hint == MEND else hint)
    more = problem.get("ctx", {})
    said = WORDS.get(more.get("pattern", ""), problem["msg"])
    if problem["type"] == "string_too_long":
        said = f"at most {more['max_length']:,} characters"
    return kind(
        f"{subject}: wrong value for {where!r}" if where else subject,
        found=repr(problem["input"])[:80],
        expected=said.removeprefix("Input should be ").removeprefix("Value error, "),
        hint=hint,
    )


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
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
