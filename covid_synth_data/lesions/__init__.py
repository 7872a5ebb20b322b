"""Lesion pairs: the same film with and without opacities, painted by rules, without a network.

    painted = lesions.paint(films, seed=0, pattern="covid-19", lungs=masks)
    painted.films, painted.maps, painted.records

Positives and negatives of a training set then come from the same films, so that a classifier cannot learn
the collection. Nothing is learned from positive films; only the distributions in priors.toml are measured.
"""

from __future__ import annotations

from covid_synth_data.lesions.painting import Painted, Record, paint
from covid_synth_data.lesions.rows import paint_rows

__all__ = ["Painted", "Record", "paint", "paint_rows"]
