"""The reader study: can a person tell real films from synthetic ones? (menon2020, Sect. VII)

    make(real, synthetic, out)      one HTML page of shuffled pairs, and a key that readers do not get
    score(answers, key)             accuracy, exact intervals and p of the answers that readers sent back

The study of the paper had 25 pairs and two radiologists, who found every real film.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from covid_synth_data._lazy import exports

__all__ = ["make", "score"]

if TYPE_CHECKING:
    from covid_synth_data.reader_study.making import make
    from covid_synth_data.reader_study.scoring import score
else:
    __getattr__, __dir__ = exports(__name__, {"make": "making", "score": "scoring"})
