"""Licence texts as the sources write them, brought to one spelling, and which of them allow reuse."""

from __future__ import annotations

import re
from typing import Final

UNKNOWN: Final = "unknown"
NIH: Final = "public domain (NIH)"
"""ChestX-ray8: the NIH Clinical Center states that there are no restrictions on the use of the images."""

_URL = re.compile(r"creativecommons\.org/(licenses|publicdomain)/([a-z-]+)/?([0-9.]*)")
_CC = re.compile(r"^(?:cc|creative commons)\b(.*)$")
_VERSION = re.compile(r"\b([1-4])(?:\.(\d))?\b")
_WORDS: Final = {
    "attribution": "by",
    "noncommercial": "nc",
    "non commercial": "nc",
    "noderivatives": "nd",
    "noderivs": "nd",
    "no derivatives": "nd",
    "sharealike": "sa",
    "share alike": "sa",
}
_PERMISSIVE_CC = re.compile(r"^CC BY(?: [1-4]\.\d)?$")
_PUBLIC_DOMAIN: Final = ("public domain", NIH, "CC0 1.0")
_PERMISSIVE: Final = (*_PUBLIC_DOMAIN, "Apache-2.0", "MIT")


def normalise(text: str | None) -> str:
    """One spelling per licence: "CC BY-NC-SA 4.0", "CC0 1.0", "Apache-2.0", "public domain"; "" is "unknown".

    What is no known licence is kept as it stands, on one line, so that nothing is claimed that the source
    does not say. Idempotent.
    """
    kept = " ".join((text or "").split())
    plain = kept.lower().strip(" .")
    if plain in ("", "nan", "none", "n/a", "?", UNKNOWN):
        return UNKNOWN
    if kept == NIH or plain in ("public domain", "publicdomain", "pd"):
        return NIH if kept == NIH else "public domain"
    if re.fullmatch(r"(cc[ -]?0|cc[ -]zero)([ -]1(\.0)?)?", plain):
        return "CC0 1.0"
    if re.fullmatch(r"apache([ -]?(license|licence))?[ ,-]*(v|version )?2(\.0)?", plain):
        return "Apache-2.0"
    if re.fullmatch(r"(the )?mit( license| licence)?", plain):
        return "MIT"
    return _creative_commons(plain) or kept


def is_permissive(licence: str | None) -> bool:
    """Whether `licence` lets derived images be published under our terms.

    True for public domain, CC0, CC BY of any version, Apache 2.0 and MIT. False for every licence with a
    non-commercial, no-derivatives or share-alike clause, for "unknown", and for free text.
    """
    name = normalise(licence)
    return name in _PERMISSIVE or _PERMISSIVE_CC.match(name) is not None


def is_public_domain(licence: str | None) -> bool:
    """Whether `licence` sets no condition at all: public domain and CC0."""
    return normalise(licence) in _PUBLIC_DOMAIN


def _creative_commons(plain: str) -> str:
    """The Creative Commons licence that `plain` (lower case) names, or ""."""
    url = _URL.search(plain)
    if url:
        if url[2] in ("zero", "mark"):
            return "CC0 1.0" if url[2] == "zero" else "public domain"
        plain = f"cc {url[2]} {url[3]}"
    named = _CC.match(plain)
    if not named:
        return ""
    rest = (
        named[1].replace("non-commercial", "nc").replace("share-alike", "sa").replace("no-derivatives", "nd")
    )
    for word, short in _WORDS.items():
        rest = rest.replace(word, short)
    rest = re.sub(r"\b(international|unported|generic|licen[cs]e)\b", " ", rest)
    version = _VERSION.search(rest)
    clauses = re.findall(r"[a-z]+", rest)
    if not clauses or not set(clauses) <= {"by", "nc", "nd", "sa"} or "by" not in clauses:
        return ""
    order = [clause.upper() for clause in ("by", "nc", "nd", "sa") if clause in clauses]
    return f"CC {'-'.join(order)}" + (f" {version[1]}.{version[2] or 0}" if version else "")
