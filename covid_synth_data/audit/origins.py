"""The films that images were made of, brought to the size and the encoding of the images but not translated.

What tells such a film from its image is the work of the generator; what tells it from a real film was there
before the generator came.
"""

from __future__ import annotations

from covid_synth_data.audit.contract import Encoding, Material
from covid_synth_data.audit.films import FilmSet
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.files.pixels import Grey, load_grey
from covid_synth_data.release import crops


def known(material: Material) -> list[int]:
    """The places of the images whose source film is there."""
    there = set(material.sources.ids)
    return [place for place, name in enumerate(material.synthetic.origins) if name in there]


def as_translated(sources: FilmSet, images: FilmSet, encoding: Encoding | None = None) -> FilmSet:
    """The source film of each of `images`: the part that the image shows, at the size of the first image.

    `sources` holds all of them. With `encoding` the films are also encoded like the images and decoded again.
    """
    at = {name: place for place, name in enumerate(sources.ids)}
    margins = [_margins(text) for text in images.variants or [""] * len(images)]
    side = min(images.grey(0).shape) if len(images) else 0

    def change(film: Grey, place: int) -> Grey:
        cut = crops.cut(film, margins[place], side)
        return cut if encoding is None else reencoded(cut, encoding)

    code = "" if encoding is None else f" {encoding.codec} {encoding.quality}"
    details = [f"{margin} {side}{code}" for margin in margins]
    return sources.take([at[name] for name in images.origins]).altered("as translated 2", change, details)


def reencoded(film: Grey, encoding: Encoding) -> Grey:
    """A film uint8 (h, w) after it was written to a file of this encoding and read again."""
    return load_grey(encode_image(film, encoding.codec, encoding.quality))


def _margins(variant: str) -> crops.Crop:
    """The margins of the crop that `variant` names; none for other variants, such as those of painting."""
    return crops.parse_variant(variant) if variant.startswith("crop:") else crops.WHOLE
