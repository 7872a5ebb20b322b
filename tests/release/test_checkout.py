"""The releases of this repository: every byte as their manifests say, rows that load without a network."""

from __future__ import annotations

import numpy as np
import pytest

import covid_synth_data as csd
from covid_synth_data.release import places

ROWS = {"covid-synth-cxr": 21_295, "covid-synth-ct": 1_000}
"""Dataset to the rows of its default config."""


@pytest.mark.parametrize("name", ROWS)
def test_a_release_of_the_repository_is_whole_and_loads(name):
    folder = places.CHECKOUT / name
    assert csd.verify(folder).whole
    assert len(csd.load_dataset(name, root=folder)) == ROWS[name]


def test_the_slices_are_lungs_with_their_label_maps_and_none_is_of_a_patient():
    rows = csd.load_dataset("covid-synth-ct", root=places.CHECKOUT / "covid-synth-ct")
    assert rows.unique("source_dataset") == ["ct-phantom"]
    for row in rows.select(range(0, len(rows), 100)):
        image, mask = np.asarray(row["image"]), np.asarray(row["mask"])
        assert image.shape == mask.shape == (256, 256)
        assert (image[mask == 0] == 0).all()
        if (mask == 3).any():  # consolidation is bright
            assert image[mask == 3].mean() > image[mask == 1].mean() + 60
        assert (mask > 1).any()
