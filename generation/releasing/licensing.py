"""Which licences a release may carry, and how they are stated where machines read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from covid_synth_data.errors import ReleaseError, UnknownName
from covid_synth_data.sources import licences

POLICIES: Final = ("permissive", "any")

_CC: Final = "https://creativecommons.org"
KNOWN: Final = {
    "CC0 1.0": ("cc0-1.0", f"{_CC}/publicdomain/zero/1.0/"),
    "CC BY 2.0": ("cc-by-2.0", f"{_CC}/licenses/by/2.0/"),
    "CC BY 2.5": ("cc-by-2.5", f"{_CC}/licenses/by/2.5/"),
    "CC BY 3.0": ("cc-by-3.0", f"{_CC}/licenses/by/3.0/"),
    "CC BY 4.0": ("cc-by-4.0", f"{_CC}/licenses/by/4.0/"),
    "CC BY": ("cc", f"{_CC}/licenses/"),
    "Apache-2.0": ("apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
    "MIT": ("mit", "https://opensource.org/license/mit"),
}
"""Our names to the Hub's identifier and the address of the text. "CC BY" is what names no version."""

SHARE_ALIKE: Final = {
    "CC BY-NC-SA 3.0": ("cc-by-nc-sa-3.0", f"{_CC}/licenses/by-nc-sa/3.0/"),
    "CC BY-NC-SA 4.0": ("cc-by-nc-sa-4.0", f"{_CC}/licenses/by-nc-sa/4.0/"),
}
"""Restricted licences that a release stands under as a whole where they are those of all its films."""


def restricted(names: Iterable[str]) -> list[str]:
    """Those of `names` that do not allow derived images under our terms: NC, ND, SA, unknown, free text."""
    return sorted({name for name in names if not licences.is_permissive(name)})


def shared_alike(names: Iterable[str]) -> str | None:
    """The share-alike licence that is the only one among `names`: what is derived has to keep it.

    Public domain adds no terms and does not count.
    """
    terms = {name for name in names if not licences.is_public_domain(name)}
    return next(iter(terms)) if len(terms) == 1 and terms <= SHARE_ALIKE.keys() else None


def needs_credit(licence: str) -> bool:
    """Whether the author of a film under `licence` must be named; public domain and CC0 ask for nothing."""
    return not licences.is_public_domain(licence)


def check(names: Iterable[str], policy: str) -> None:
    """Raise `ReleaseError` where `policy` is "permissive" and a licence is not, or `UnknownName`."""
    if policy not in POLICIES:
        raise UnknownName("choice of licences", policy, POLICIES)
    wrong = restricted(names)
    if wrong and policy == "permissive":
        raise ReleaseError(
            "films under licences that do not allow this release were translated or learned from",
            found=", ".join(wrong),
            expected="public domain, CC0 or CC BY alone",
            hint='set data.licences = "permissive" in the recipe and train again, or ask for --licenses any:'
            " the release is then labelled as restricted",
        )


def header(names: Iterable[str]) -> dict[str, Any]:
    """The keys `license`, and where needed `license_name` and `license_link`, of a card's YAML.

    Public domain adds no terms, so beside other licences it is left out; restricted ones make it "other".
    """
    names = sorted(set(names))
    if whole := shared_alike(names):
        return {"license": SHARE_ALIKE[whole][0]}
    if restricted(names):
        return {"license": "other", "license_name": "restricted-sources", "license_link": "LICENSE.md"}
    identifiers = sorted({KNOWN[name][0] for name in names if name in KNOWN})
    if not identifiers:
        return {"license": "other", "license_name": "public-domain", "license_link": "LICENSE.md"}
    return {"license": identifiers[0] if len(identifiers) == 1 else identifiers}


def addresses(names: Iterable[str], otherwise: str) -> list[str]:
    """Where the texts of the licences stand; `otherwise` for what has no text of its own."""
    texts = KNOWN | SHARE_ALIKE
    return sorted({texts[name][1] if name in texts else otherwise for name in names})
