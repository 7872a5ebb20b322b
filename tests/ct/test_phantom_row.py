"""One slice of a CT phantom, drawn alone."""

from __future__ import annotations

import pytest

from covid_synth_data.ct import phantom
from covid_synth_data.errors import ConfigError

OPTIONS = {"size": 64, "patients": 3, "slices": 4, "seed": 5, "ragged": 1}


def test_a_row_alone_is_the_row_of_all():
    for row in phantom.rows(**OPTIONS):
        assert phantom.row(row["source_id"], **OPTIONS) == row


@pytest.mark.parametrize(
    "name", ["patient4_slice001", "patient1_slice005", "patient0_slice001", "slice001", ""]
)
def test_a_slice_that_is_not_among_them(name):
    with pytest.raises(ConfigError, match="no such slice of a CT phantom"):
        phantom.row(name, **OPTIONS)
