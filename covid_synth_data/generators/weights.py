"""Weights on disk: NAME.safetensors with a card NAME.json, checked on reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator

from covid_synth_data import schema
from covid_synth_data.errors import WeightsError
from covid_synth_data.files import lfs
from covid_synth_data.files.atomic import replacing, write_text
from covid_synth_data.files.fields import Line, Name, Sha256, Side
from covid_synth_data.files.models import FrozenModel, invalid
from covid_synth_data.release.manifest import Learned

LARGEST: Final = 4096
"""The largest number among the options of a network that is believed; ours go up to 512."""


def _bounded(option: int | float | str | bool) -> int | float | str | bool:
    within = isinstance(option, str) or -LARGEST <= option <= LARGEST
    if not within or (isinstance(option, str) and not (option.isprintable() and len(option) <= 200)):
        raise ValueError(f"a number from -{LARGEST} to {LARGEST}, or one short line")
    return option


def _known(label: str) -> str:
    if label not in schema.LABELS:
        raise ValueError("one of " + ", ".join(schema.LABELS))
    return label


Option = Annotated[int | float | str | bool, AfterValidator(_bounded)]
Label = Annotated[str, AfterValidator(_known)]


class Card(FrozenModel):
    """The card of the weights: how to build the network, and how it was trained.

    `kind` is translator (film to film), sampler (noise to film) or label-to-image (label map to CT
    slice). `size` is the side in pixels of the films it was trained on; `source_class` and `target_class` the
    direction of a translation; a sampler makes `classes`, or `target_class` alone, or neither where it
    learned from several classes at once. `training` says what was trained on, how long, and with which
    losses.
    """

    name: Annotated[Name, Field(max_length=100)]
    kind: Literal["translator", "sampler", "label-to-image"] = "translator"
    architecture: Name
    options: dict[Name, Option]
    size: Side
    source_class: Label | None = None
    target_class: Label | None = None
    classes: list[Label] = Field(default_factory=list)
    licences: list[Line]
    training: dict[str, Any]
    package_version: Line
    sha256: Sha256

    @field_validator("training")
    @classmethod
    def _tells_lineage(cls, training: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(training.get("recipe", {}), dict):
            raise ValueError("a table under recipe")
        try:
            Learned.model_validate(training.get("learned_from", {"films": [], "patients": []}))
        except ValidationError as error:
            raise ValueError("lists of films and patients under learned_from") from error
        return training


def save(path: Path, tensors: Mapping[str, Any], card: Mapping[str, Any]) -> Card:
    """Write float tensors as fp16 to `path` and the card beside it; returns the card with its checksum.

    fp16 halves a download and is far finer than what separates two training seeds. Releases are made with
    the weights as read back from this file, so that an image can be made again exactly.
    """
    import torch
    from safetensors.torch import save as serialised

    half = {
        key: value.detach()
        .to("cpu", torch.float16 if value.is_floating_point() else value.dtype)
        .contiguous()
        for key, value in tensors.items()
    }
    content = serialised(half)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    done = Card.model_validate({**card, "sha256": hashlib.sha256(content).hexdigest()})
    write_text(path.with_suffix(".json"), json.dumps(done.model_dump(), indent=2) + "\n")
    return done


def read_card(path: Path) -> Card:
    """The card beside the weights at `path`. Raises `WeightsError`, also for files of another kind."""
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"will not load {path}",
            found=f"a {path.suffix or 'nameless'} file",
            expected=".safetensors",
            hint="convert the weights; pickled files can run code",
        )
    card_path = path.with_suffix(".json")
    try:
        return Card.model_validate(json.loads(card_path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        what, hint = f"the card {card_path} of the weights cannot be read", "fetch the release again"
        if isinstance(error, ValidationError):
            raise invalid(WeightsError, what, error, Card, hint) from error
        raise WeightsError(
            what,
            found=str(error).splitlines()[0],
            expected="a JSON file as written with the weights",
            hint=hint,
        ) from error


def read(path: Path) -> tuple[dict[str, Any], Card]:
    """Tensors as float32, and the card. Raises `WeightsError` unless the file is what the card describes."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    card = read_card(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read {path}", found=str(error), hint="fetch the release again") from error
    if (digest := hashlib.sha256(content).hexdigest()) != card.sha256:
        raise WeightsError(
            f"{path} is not the file that its card describes",
            found=lfs.FOUND if lfs.is_pointer(content) else f"sha256 {digest[:12]}",
            expected=f"sha256 {card.sha256[:12]}",
            hint=lfs.HINT if lfs.is_pointer(content) else "fetch the release again",
        )
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is no safetensors file",
            found=str(error),
            expected="tensors and nothing that can run",
            hint="fetch the release again",
        ) from error
    return {k: v.to(torch.float32) if v.is_floating_point() else v for k, v in tensors.items()}, card
