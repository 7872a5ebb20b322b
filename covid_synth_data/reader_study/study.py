"""The two files of a study beside its page: the key, which its maker keeps, and the answers of a reader."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, FiniteFloat, ValidationError

from covid_synth_data.errors import ResultError
from covid_synth_data.files.fields import Identifier, Line, Sha256
from covid_synth_data.files.models import FrozenModel, invalid

Side = Literal["left", "right"]
PairId = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]


def _trimmed(name: str) -> str:
    if name != name.strip():
        raise ValueError("a name without spaces around it")
    return name


class KeyPair(FrozenModel):
    """A pair: the side of the real film, and the names of both films."""

    id: PairId
    real: Side
    real_film: Identifier
    synthetic_film: Identifier


class Key(FrozenModel):
    """The key that scores a study. `study` is the digest that the page carries too; `size` is in pixels."""

    format: Literal[1] = 1
    study: Sha256
    title: Line
    seed: Annotated[int, Field(ge=0)]
    size: Annotated[int, Field(gt=0, le=10**6)]
    real: list[Line]
    synthetic: Line
    package: Line
    pairs: Annotated[list[KeyPair], Field(min_length=1)]


class Answer(FrozenModel):
    """The answer of a reader to a pair: the side taken for real, how sure (1 to 3), and the seconds."""

    pair: PairId
    real: Side
    confidence: Annotated[int, Field(ge=1, le=3)] | None
    seconds: Annotated[FiniteFloat, Field(ge=0)]


class Answers(FrozenModel):
    """The answers that the page exports; `reader` is the code that the reader chose."""

    format: Literal[1] = 1
    study: Sha256
    reader: Annotated[Line, Field(min_length=1, max_length=40), AfterValidator(_trimmed)]
    started: Line
    finished: Line
    answers: list[Answer]


Model = TypeVar("Model", Key, Answers)


def read(path: Path, model: type[Model]) -> Model:
    """The file at `path` as a `model`, of the right form. Raises `ResultError`."""
    what = "key of a reader study" if model is Key else "file of a reader's answers"
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ResultError(
            f"cannot read {path}",
            found=str(error.strerror).lower(),
            expected=f"a {what}",
            hint="check the path",
        ) from error
    except ValidationError as error:
        hint = (
            "ask for the key that was made with the page"
            if model is Key
            else "ask the reader to export the answers again"
        )
        raise invalid(ResultError, f"{path} is no {what}", error, model, hint) from error
