"""patients: which writings of an id are one person."""

from __future__ import annotations

import pytest

from covid_synth_data.sources.patients import canonical, canonical_id


@pytest.mark.parametrize(
    "writings",
    [
        ("10", "10.0", 10, 10.0, " 10 ", "10.", "\u00a010"),
        ("7", "007", "7.0", "07"),
        ("p7", "P007", "P 7", "p\u200b7"),
        ("311a", "311A", "0311a", "311 a"),
        ("", None, float("nan"), "  "),
    ],
)
def test_one_person(writings: tuple[object, ...]) -> None:
    assert {canonical(writing) for writing in writings} == {writings[0]}


@pytest.mark.parametrize(
    "pair", [("311a", "311b"), ("10", "10.5"), ("1-1", "11"), ("10", "100"), ("0", "00a"), ("p7", "q7")]
)
def test_two_people(pair: tuple[str, str]) -> None:
    assert canonical(pair[0]) != canonical(pair[1])


def test_ids_with_their_source() -> None:
    assert canonical_id("rsna:007") == "rsna:7"
    assert canonical_id("kermany:film-IM 007") == "kermany:film-IM 007"
    assert canonical_id("nameless") == "nameless"
