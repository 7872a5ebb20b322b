"""The documents of a release: dataset card, cards of the weights, attribution, licence, croissant.json.

    complete(folder, listed, credits)    write all of them and list them in the manifest
    credits_for(...)                     the authors that must be credited for the films

Everything is rendered from the manifest, the cards of the weights, the sources' own metadata and result
files; no text here contains a number that was measured.
"""

from __future__ import annotations

from generation.releasing.documents.credits import Credit, credits_for
from generation.releasing.documents.documents import complete

__all__ = ["Credit", "complete", "credits_for"]
