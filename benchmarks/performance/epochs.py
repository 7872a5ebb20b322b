"""An epoch from the cache of films, against films in memory and against the loop people write today.

    python benchmarks/performance/epochs.py [--films 768] [--rounds 7] [--threads 2] [--workers 2]

All train the same small CNN on the same grey films at 224 x 224, in batches of 16: (1) `training.fit` on a
feed from the memory-mapped store, its films decoded before; (2) `training.fit` on float tensors in memory;
(3) the textbook loop: torchvision's `ImageFolder` over the 256 x 256 PNG files, grey, resized, a `DataLoader`
with worker processes. A call of (1) or (2) is one epoch and a validation pass over 16 films; both must end
with the same weights, bit by bit. Filling the store, which happens once, is timed beside them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import alternate, ratio, seconds, write
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from covid_synth_data.benchmark.suite import Training
from covid_synth_data.benchmark.training import fit
from covid_synth_data.classifiers.registry import build
from covid_synth_data.files.pixels import load_grey
from covid_synth_data.files.store import Store, content_key

STORED, SIDE, BATCH = 256, 224, 16
SETTINGS = Training(optimizer="adadelta", learning_rate=1e-3, batch_size=BATCH, max_epochs=1, patience=1)
CPU = torch.device("cpu")
TARGET = 1.1


def draw(seed: int) -> Image.Image:
    """A grey film of soft shades and a little noise, which a PNG packs about as well as a real one."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (12, 12), dtype=np.uint8))
    shades = np.asarray(coarse.resize((STORED, STORED), Image.Resampling.BICUBIC), np.int16)
    return Image.fromarray(np.clip(shades + random.integers(-4, 5, shades.shape), 0, 255).astype(np.uint8))


class Memory:
    """A feed of float tensors that were made before."""

    def __init__(self, films: torch.Tensor, labels: fit.Rows) -> None:
        self.films, self.labels = films, labels

    def batch(self, rows: fit.Rows, rng: np.random.Generator | None) -> torch.Tensor:
        return self.films[rows]


def decode(store: Store, files: dict[str, Path]) -> None:
    """Fill the store as the benchmark does: in two threads, a shard at a time."""
    with ThreadPoolExecutor(2) as threads:
        store.add(
            list(files),
            lambda part: np.stack(list(threads.map(lambda key: load_grey(files[key], SIDE), part))),
        )


def plain_epoch(model: torch.nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader[Any]) -> None:
    """The textbook loop."""
    model.train()
    for images, labels in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()


def main() -> None:
    """Measure and write results/epochs.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as name:
        # The same films as files, in our store and in memory.
        folder = Path(name)
        for label in ("0", "1"):
            (folder / "png" / label).mkdir(parents=True)
        for row in range(asked.films):
            draw(row).save(folder / "png" / str(row % 2) / f"{row:06d}.png")
        pictures = ImageFolder(
            folder / "png",
            transforms.Compose(
                [transforms.Grayscale(), transforms.Resize((SIDE, SIDE)), transforms.ToTensor()]
            ),
        )
        files = {content_key({"bytes": None, "path": path}): Path(path) for path, _ in pictures.samples}
        labels = np.array(pictures.targets, np.int64)
        store = Store(folder / "cache", (SIDE, SIDE), np.uint8)
        filling = seconds(lambda: decode(store, files))
        keys = list(files)
        stored = fit.PixelFeed(store, keys, labels, CPU)
        memory = Memory(torch.from_numpy(store.rows(keys)).unsqueeze(1).float() / 255.0, labels)
        few = fit.PixelFeed(store, keys[:8] + keys[-8:], np.r_[labels[:8], labels[-8:]], CPU)
        # An epoch of each kind.
        loader = DataLoader(pictures, BATCH, shuffle=True, num_workers=asked.workers)
        textbook = build("small-cnn", "none", 0)
        optimizer = torch.optim.Adadelta(textbook.parameters(), lr=SETTINGS.learning_rate)

        def ours(feed: fit.Feed) -> dict[str, torch.Tensor]:
            model = build("small-cnn", "none", 0)
            fit.fit(model, feed, few, SETTINGS, sampling="natural", seed=0, device=CPU)
            return model.state_dict()

        runs = {
            "from the cache": lambda: ours(stored),
            "in memory": lambda: ours(memory),
            "ImageFolder + DataLoader": lambda: plain_epoch(textbook, optimizer, loader),
        }
        # The store must not change the weights. Rounds alternate: other work slows all of them alike.
        first, second = ours(stored), ours(memory)
        same = all(torch.equal(first[key], second[key]) for key in first)
        plain_epoch(textbook, optimizer, loader)
        times = alternate(runs, asked.rounds)
    over = ratio(times["from the cache"], times["in memory"])
    write(
        "epochs",
        {
            "command": "python benchmarks/performance/epochs.py"
            f" --films {asked.films} --rounds {asked.rounds}"
            f" --threads {asked.threads} --workers {asked.workers}",
            "model": "small-cnn",
            "films": asked.films,
            "side": SIDE,
            "batch": BATCH,
            "threads": asked.threads,
            "filling_the_cache_seconds": filling,
            "epoch_seconds": {key: statistics.median(value) for key, value in times.items()},
            "cache_over_memory": over,
            "plain_over_cache": ratio(times["ImageFolder + DataLoader"], times["from the cache"]),
            "same_weights_as_in_memory": same,
            "target": {"cache_over_memory": TARGET},
            "met": same and over["median"] <= TARGET,
        },
    )


if __name__ == "__main__":
    main()
