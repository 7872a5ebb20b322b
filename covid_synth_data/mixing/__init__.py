"""Mix real and synthetic films to a requested composition, on `datasets.Dataset`, without decoding images.

Skew is negatives / positives (zunair2021, Eq. 6); with several classes, all rows but the positives count as
negatives. All functions select and join rows by index: the images of the result are those of the inputs, read
when they are needed, as 8-bit grey. The same seed gives the same rows. Classes are matched by name: where the
codes of the synthetic rows mean other classes than those of the real rows, they are translated.
"""

from covid_synth_data.mixing.composition import extend, mix, replace, skew
from covid_synth_data.mixing.joining import stream, with_classes

__all__ = ["extend", "mix", "replace", "skew", "stream", "with_classes"]
