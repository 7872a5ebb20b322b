"""Which image codec a release should use: bytes per image, likeness, and time to encode and decode.

    python benchmarks/performance/codecs.py --weights FILE --films DIR [--images 200]

Translates films by a trained generator and stores the results by each codec. Likeness is SSIM (scikit-image,
Gaussian window, uint8) and the largest error of a grey value against the network's own output. Times are of
one thread.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from pathlib import Path

import numpy as np
from machine import write
from PIL import Image
from skimage.metrics import structural_similarity

from covid_synth_data.files.encoding import encode_image
from covid_synth_data.files.pixels import load_grey
from covid_synth_data.generators.trained import load_file

CHOICES = [
    ("png", 0),
    ("webp", 80),
    ("webp", 90),
    ("webp", 95),
    ("jpeg", 75),
    ("jpeg", 85),
    ("jpeg", 90),
    ("jpeg", 95),
    ("jpeg", 98),
]


def main() -> None:
    """Measure and write results/codecs.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--films", type=Path, required=True)
    parser.add_argument("--images", type=int, default=200)
    asked = parser.parse_args()
    translator = load_file(asked.weights)
    paths = sorted(p for p in asked.films.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg"))
    films = np.stack([load_grey(path, translator.card.size) for path in paths[: asked.images]])
    made = translator.translate(films)
    rows = []
    for codec, quality in CHOICES:
        start = time.perf_counter()
        encoded = [encode_image(film, codec, quality) for film in made]
        encode_ms = (time.perf_counter() - start) * 1000 / len(made)
        start = time.perf_counter()
        decoded = [np.asarray(Image.open(io.BytesIO(content)).convert("L")) for content in encoded]
        decode_ms = (time.perf_counter() - start) * 1000 / len(made)
        alike = [
            structural_similarity(
                a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
            )
            for a, b in zip(made, decoded, strict=True)
        ]
        errors = [int(np.abs(a.astype(int) - b).max()) for a, b in zip(made, decoded, strict=True)]
        rows.append(
            {
                "codec": codec if codec == "png" else f"{codec} {quality}",
                "kilobytes": round(statistics.mean(map(len, encoded)) / 1000, 2),
                "megabytes_of_21295": round(statistics.mean(map(len, encoded)) * 21295 / 1e6),
                "ssim_mean": round(statistics.mean(alike), 5),
                "ssim_least": round(min(alike), 5),
                "largest_error": max(errors),
                "encode_ms": round(encode_ms, 2),
                "decode_ms": round(decode_ms, 2),
            }
        )
    write(
        "codecs",
        {
            "command": "python benchmarks/performance/codecs.py --weights FILE --films DIR"
            f" --images {asked.images}",
            "generator": translator.card.name,
            "images": len(made),
            "size": int(made.shape[1]),
            "codecs": rows,
        },
    )


if __name__ == "__main__":
    main()
