"""A release against the bare network: what decoding, encoding and writing cost beside the forward pass.

    python benchmarks/performance/release.py RECIPE --weights FILE [--root DIR] [--images 256] [--rounds 3]

Makes a release of `--images` images in a temporary folder, and, in turn, runs the same generator over ready
arrays at the same batch size. Prints images per second of both, their ratio, and the peak of resident memory.
The time of a release counts from the first decoded film to the manifest; planning (which films, their
checksums) is timed apart.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import peak_mib, ratio, seconds, write

from covid_synth_data.generators.trained import load_file
from covid_synth_data.release import writing
from covid_synth_data.release.crops import WHOLE
from generation.kinds.kind import maker_of
from generation.kinds.maker import cut
from generation.recipe import load_recipe
from generation.releasing import build as releases


def main() -> None:
    """Measure and write results/release.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    # The recipe with fewer images, and one batch of its films.
    loaded = load_recipe(asked.recipe)
    content = loaded.model_dump()
    content["release"]["count"] = asked.images
    recipe = type(loaded).model_validate(content)
    translator = load_file(asked.weights)
    batch = recipe.release.batch_size
    cells = maker_of(recipe, asked.root, asked.weights).images.cells[: asked.images]
    ready = np.stack([cut(cells[i % len(cells)], WHOLE, recipe.data.size) for i in range(batch)])

    # The network alone, without reading or writing.
    def bare() -> None:
        for _ in range(asked.images // batch):
            translator.forward(ready).cpu()

    # Whole releases. Planning ends when the first image is made.
    write_shard = writing.write
    release_times, plan_times, bare_times = [], [], []
    bare()
    for _ in range(asked.rounds):
        bare_times.append(seconds(bare))
        with tempfile.TemporaryDirectory() as name:
            started: list[float] = []

            def tick(done: int, total: int, started: list[float] = started) -> None:
                if not started:
                    started.append(time.perf_counter())

            def first_shard(*args: object, started: list[float] = started) -> None:
                if not started:
                    started.append(time.perf_counter())
                write_shard(*args)

            writing.write = first_shard
            start = time.perf_counter()
            maker = maker_of(recipe, asked.root, asked.weights)
            releases.release(recipe, maker, Path(name) / "release", asked.root, tick)
            end = time.perf_counter()
            writing.write = write_shard
            plan_times.append(started[0] - start)
            release_times.append(end - started[0])
    write(
        "release",
        {
            "command": f"python benchmarks/performance/release.py {asked.recipe} --weights FILE"
            f" --root DIR --images {asked.images} --rounds {asked.rounds}",
            "device": str(translator.device),
            "images": asked.images,
            "batch": batch,
            "size": recipe.data.size,
            "codec": f"{recipe.release.codec} {recipe.release.quality}",
            "bare_images_per_second": asked.images / min(bare_times),
            "release_images_per_second": asked.images / min(release_times),
            "release_over_bare": ratio(bare_times, release_times),
            "planning_seconds": statistics.median(plan_times),
            "peak_resident_mib": peak_mib(),
        },
    )


if __name__ == "__main__":
    main()
