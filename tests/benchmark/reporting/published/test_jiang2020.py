"""The printed tables beside ours."""

from __future__ import annotations

import pytest

from covid_synth_data.benchmark.reporting import published
from covid_synth_data.benchmark.reporting.published import jiang2020
from covid_synth_data.benchmark.suite import load_suite


@pytest.mark.parametrize(
    ("printed", "ours"),
    [
        ("real", ("real", "")),
        ("replace 30 %", ("replace-30", "")),
        ("add 10 %", ("extend-10", "")),
        ("replace 50 % by pix2pixHD", ("replace-50", "pix2pixhd")),
    ],
)
def test_names_of_regimes(printed, ours):
    assert jiang2020.regime_of(printed) == ours
    assert ours[0] in load_suite("jiang2020").regimes


def test_a_regime_that_is_none_of_ours():
    with pytest.raises(ValueError, match="remove"):
        jiang2020.regime_of("remove 10 %")


def test_every_printed_cell_stands_once_beside_ours():
    ours = {
        ("real", "", "ggo", "dice"): "45.29",
        ("replace-50", "sean", "infection", "dice"): "1.23",
        ("replace-50", "ct-global-local", "infection", "dice"): "4.56",
    }
    header, *lines = jiang2020.rows(published.load(), ours, "ct-global-local")
    assert header[:3] == ["structure", "regime (theirs)", "Dice, theirs"]
    assert len(lines) == 3 * (10 + 6)
    assert all(len(line) == len(header) and all(line) for line in lines)
    printed = sum(cell.paper == "jiang2020" and cell.table in jiang2020.TABLES for cell in published.load())
    assert printed == 3 * len(lines)
    first = next(line for line in lines if line[:2] == ["ggo", "real"])
    assert first[2:4] == ["87.55 ± 0.20", "45.29"]
    by = {line[1]: line[3] for line in lines if line[0] == "infection"}
    assert (by["replace 50 % by SEAN"], by["replace 50 %"], by["replace 50 % by SPADE"]) == (
        "1.23",
        "4.56",
        "not run",
    )
