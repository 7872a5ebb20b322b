"""Every kind of file in every place: the same answer, and the one that the documentation gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import conformance, inputs

pytest.importorskip("pydicom", reason="the extra [rsna] is not installed")


@pytest.fixture(scope="module")
def documented() -> dict[str, list[str]]:
    rows = [line.strip("| ").split(" | ") for line in conformance.PAGE.read_text("utf-8").splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) == len(conformance.PLACES) + 1}


@pytest.mark.parametrize("kind", conformance.kinds())
def test_every_place_gives_the_same_answer(
    kind: str, documented: dict[str, list[str]], tmp_path: Path
) -> None:
    found = conformance.verdicts(kind, tmp_path)
    assert found == documented[kind]
    if kind in inputs.BROKEN:
        expected = ["listed", *["one line"] * 2, "left out", *["one line"] * 4]
    else:
        task = "left out" if kind == conformance.EMPTY else "used"
        expected = ["listed", *["same"] * 2, task, *["same"] * 4]
    assert found == expected


def test_the_page_lists_every_kind(documented: dict[str, list[str]]) -> None:
    assert list(documented)[1:] == conformance.kinds()
