"""Whether a film is frontal or lateral, from the word that a source or a header has for it.

Sources write the same view in many ways: "PA", "AP Supine", "APS", "antero-posterior", "LL". One rule reads
them all; what it does not know is not stated, and no guess is made.
"""

from __future__ import annotations

import re
from typing import Final, Literal

View = Literal["frontal", "lateral", ""]

_FRONTAL: Final = frozenset(
    (
        *("ap", "pa", "aps", "apsupine", "aperect", "pas", "paerect", "frontal"),
        *("anteroposterior", "posteroanterior", "anterior", "posterior"),
    )
)
_ORGAN: Final = ("chest", "thorax", "cxr", "view")
_LATERAL: Final = frozenset(("l", "ll", "rl", "llat", "rlat", "lat", "lateral", "profile"))


def kind(view: str) -> View:
    """ "frontal", "lateral", or "" where `view` says neither.

    Of a phrase its first word decides, or its first two where they are one ("antero posterior"); case and
    the signs between words do not matter.
    """
    words = [word for word in re.findall(r"[a-z]+", view.casefold()) if word not in _ORGAN]
    if not words or re.search(r"[0-9]", view):
        return ""
    for known, answer in ((_FRONTAL, "frontal"), (_LATERAL, "lateral")):
        if words[0] in known or "".join(words[:2]) in known:
            return answer  # type: ignore[return-value]
    if words[0] in ("left", "right") and len(words) > 1 and words[1] in _LATERAL:
        return "lateral"
    return ""
