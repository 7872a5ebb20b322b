"""Licence texts."""

from __future__ import annotations

import pytest

from covid_synth_data.sources.licences import NIH, UNKNOWN, is_permissive, normalise

SPELLINGS = {
    "": UNKNOWN,
    " ": UNKNOWN,
    "?": UNKNOWN,
    "CC BY": "CC BY",
    "cc-by 3.0": "CC BY 3.0",
    "CC BY 4": "CC BY 4.0",
    "CC  BY-NC-SA": "CC BY-NC-SA",
    "CC BY-NC-SA 4.0": "CC BY-NC-SA 4.0",
    "CC BY-NC-ND 4.0": "CC BY-NC-ND 4.0",
    "CC BY-SA": "CC BY-SA",
    "Creative Commons Attribution-NonCommercial 4.0 International": "CC BY-NC 4.0",
    "Creative Commons Attribution 3.0 Unported": "CC BY 3.0",
    "https://creativecommons.org/licenses/by-nc/2.5/": "CC BY-NC 2.5",
    "https://creativecommons.org/publicdomain/zero/1.0/": "CC0 1.0",
    "cc0": "CC0 1.0",
    "Apache 2.0": "Apache-2.0",
    "MIT License": "MIT",
    "Public Domain": "public domain",
    NIH: NIH,
    "listed as authorized for everyone": "listed as authorized for everyone",
    "CC BY if you ask nicely": "CC BY if you ask nicely",
    "all rights\nreserved": "all rights reserved",
}


@pytest.mark.parametrize(("text", "expected"), SPELLINGS.items())
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected
    assert normalise(expected) == expected


def test_normalise_of_nothing() -> None:
    assert normalise(None) == UNKNOWN


@pytest.mark.parametrize(
    "text", ["CC BY", "CC BY 3.0", "cc by 4.0", "CC0", "Apache 2.0", "MIT", "public domain", NIH]
)
def test_permissive(text: str) -> None:
    assert is_permissive(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", None, UNKNOWN, "CC BY-NC 4.0", "CC BY-ND", "CC BY-SA 4.0", "CC BY-NC-SA", "CC BY-NC-ND 4.0"),
        *("listed as authorized for everyone", "CC BY if you ask nicely", "not MIT", "CC BY 4.0 NC"),
    ],
)
def test_not_permissive(text: str | None) -> None:
    assert not is_permissive(text)
