"""Reading TOML into validated models: unknown keys and wrong types are refused with one line."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from covid_synth_data.errors import ConfigError, CovidSynthError
from covid_synth_data.files.fields import WORDS

MEND: Final = "mend that key"

UNKNOWN: Final = ("extra_forbidden", "unexpected_keyword_argument")
"""What pydantic calls an unknown key, of a model and of a dataclass."""


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
    problem = min(error.errors(), key=lambda e: e["type"] not in UNKNOWN)
    path, tables = _walked(model, problem["loc"])
    where = ".".join(map(str, path))
    if problem["type"] == "json_invalid":
        return kind(
            f"{subject}: not valid JSON", found=str(problem["ctx"]["error"]), expected="JSON", hint=hint
        )
    if problem["type"] in UNKNOWN:
        known = sorted({name for table in tables for name in _fields(table)})
        close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        return kind(
            f"{subject}: unknown key {where!r}",
            expected="one of " + ", ".join(known) if known else "a known key",
            hint=f"did you mean {close[0]!r}?" if close else "remove the key",
        )
    if problem["type"] == "union_tag_not_found":
        where = f"{where}.{_discriminator(problem)}"
    if problem["type"] in ("missing", "union_tag_not_found"):
        return kind(f"{subject}: the key {where!r} is missing", hint="add it" if hint == MEND else hint)
    more = problem.get("ctx", {})
    if problem["type"] == "union_tag_invalid":
        return kind(
            f"{subject}: wrong value for '{where}.{_discriminator(problem)}'",
            found=repr(more["tag"])[:80],
            expected=f"one of {more['expected_tags']}",
            hint=hint,
        )
    said = WORDS.get(more.get("pattern", ""), problem["msg"])
    if problem["type"] == "string_too_long":
        said = f"at most {more['max_length']:,} characters"
    return kind(
        f"{subject}: wrong value for {where!r}" if where else subject,
        found=repr(problem["input"])[:80],
        expected=said.removeprefix("Input should be ").removeprefix("Value error, "),
        hint=hint,
    )


def _discriminator(problem: ErrorDetails) -> str:
    """The key by which the models of a union are told apart."""
    return str(problem["ctx"]["discriminator"]).strip("'")


def _walked(
    model: type[BaseModel] | None, location: tuple[int | str, ...]
) -> tuple[list[int | str], list[type]]:
    """The keys of `location` as they stand in the file, and the models of the table that has the last one.

    pydantic names the member of a discriminated union in the location; the file has no such key.
    """
    path: list[int | str] = []
    tables: list[type] = []
    kinds: list[Any] = [] if model is None else [model]
    for part in location:
        kinds = [member for kind in kinds for member in _members(kind)]
        tagged = [kind for kind in kinds if _is_table(kind) and part in _tags(kind)]
        if tagged and len(kinds) > 1:
            kinds = tagged
            continue
        path.append(part)
        tables = [kind for kind in kinds if _is_table(kind)]
        # The value of a mapping or the item of a list, whatever its key; the field of a model.
        inside = [get_args(kind)[-1] for kind in kinds if get_origin(kind) in (dict, list)]
        fields = [_fields(kind)[part].annotation for kind in tables if part in _fields(kind)]
        kinds = [*inside, *fields]
    return path, tables


def _members(kind: Any) -> list[Any]:
    """The types of a union, without what `Annotated` adds."""
    if get_origin(kind) is Annotated:
        return _members(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [member for part in get_args(kind) for member in _members(part)]
    return [kind]


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and (issubclass(kind, BaseModel) or is_pydantic_dataclass(kind))


def _fields(table: type) -> dict[str, FieldInfo]:
    """The fields of a model or of a dataclass of pydantic, by name."""
    fields: dict[str, FieldInfo] = getattr(table, "__pydantic_fields__", {})
    return fields


def _tags(kind: type) -> tuple[Any, ...]:
    """The values of the literal fields of a model: one of them tells it from others."""
    return tuple(
        v
        for f in _fields(kind).values()
        if get_origin(f.annotation) is Literal
        for v in get_args(f.annotation)
    )
