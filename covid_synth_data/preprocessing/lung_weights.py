"""The weights of the network that finds the lungs, and the card beside them; read without torch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from covid_synth_data.errors import WeightsError
from covid_synth_data.files.models import FrozenModel, invalid

WEIGHTS: Final = Path(__file__).parent / "lung_fields" / "lung-fields.safetensors"
"""They have 0.8 MB and come with the package."""

HINT: Final = "install the package again, or choose another preprocessing"


class Card(FrozenModel):
    """The card of the weights: architecture, training films, licences, and measured Dice.

    `films` and `patients` were learned from (`image_id` and `patient_id`); `other_names` are ids under which
    a source says that these films are known too; `dice` is measured on others.
    """

    name: str
    architecture: str
    widths: tuple[int, ...]
    side: int
    parameters: int
    films: list[str]
    patients: list[str]
    other_names: list[str]
    film_licences: list[str]
    mask_licence: str
    training: dict[str, Any]
    dice: dict[str, Any]
    package_version: str
    sha256: str


def read_card(weights: Path = WEIGHTS) -> Card:
    """The card beside `weights`. Raises `WeightsError`."""
    path = weights.with_suffix(".json")
    try:
        return Card.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = f"the card {path.name} of the network that finds the lungs cannot be read"
        if isinstance(error, ValidationError):
            raise invalid(WeightsError, what, error, Card, HINT) from error
        raise WeightsError(
            what,
            found=str(error).splitlines()[0],
            expected=f"it beside {weights.name} in the package",
            hint=HINT,
        ) from error


def read(weights: Path = WEIGHTS) -> tuple[Card, bytes]:
    """Card and content of a weights file. Raises `WeightsError` unless it is the file that the card names."""
    card = read_card(weights)
    try:
        content = weights.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"the weights {weights.name} of the network that finds the lungs cannot be read",
            found=str(error),
            expected=f"the file in {weights.parent}",
            hint=HINT,
        ) from error
    if (digest := hashlib.sha256(content).hexdigest()) != card.sha256:
        raise WeightsError(
            f"{weights.name} is not the file that its card describes",
            found=f"sha256 {digest[:12]}",
            expected=f"sha256 {card.sha256[:12]}",
            hint=HINT,
        )
    return card, content
