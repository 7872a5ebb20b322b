"""One rule for the patient ids of all sources: which writings name one person."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_INVISIBLE: Final = ("Cc", "Cf", "Zs", "Zl", "Zp")
"""Categories of characters that have no ink: controls, format characters, spaces."""

_WHOLE: Final = re.compile(r"^[+]?([0-9]+)[.]0*$")
_NUMBERED: Final = re.compile(r"^([a-z]*[-_]?)0+([0-9]+[a-z]*)$")


def canonical(patient: object) -> str:
    """The one writing of a patient's id within a source; "" where none is given.

    Numbers are text, a decimal part of zeros is dropped ("10", "10.0" and 10 are one), zeros before a number
    are dropped, also after a word and before a letter ("007" is "7", "P007" is "p7", "0311a" is "311a"), and
    case, spaces and invisible characters do not count. Everything else does: "311a" and "311b" are two
    people, as are "10" and "10.5", or "1-1" and "11". None and NaN are no id.
    """
    if patient is None or patient != patient:
        return ""
    folded = unicodedata.normalize("NFKC", str(patient)).casefold()
    text = "".join(letter for letter in folded if unicodedata.category(letter) not in _INVISIBLE)
    whole = _WHOLE.match(text)
    text = whole[1] if whole else text
    numbered = _NUMBERED.match(text)
    return numbered[1] + numbered[2] if numbered else text


def canonical_id(patient_id: str) -> str:
    """The one writing of a `patient_id` ("SOURCE:PATIENT"); ids that name a film ("SOURCE:film-ID"), or have
    no source, stay as they are."""
    source, colon, patient = patient_id.partition(":")
    return patient_id if not colon or patient.startswith("film-") else f"{source}:{canonical(patient)}"
