"""Reading and decoding released images into batches, against the loaders people use today.

    python benchmarks/performance/reading.py --release DIR [--images 5000] [--workers 2] [--rounds 5]

All read the same images, in order, into batches of 64, with the same number of workers: (1)
`covid_synth_data.release.batches.batches` from the release's parquet shards; (2) a torchvision `ImageFolder`
with a
`DataLoader` over the images as PNG files; (3) torchxrayvision's `COVID19_Dataset` with a `DataLoader` over
the same PNG files and a metadata table in that set's layout. A release with fewer images is read again from
the start until `--images` are through. Prints images per second and the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from pathlib import Path

import datasets
import pandas as pd
import torch
import torchxrayvision as xrv
from machine import alternate, ratio, write
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2 import Compose, PILToTensor

from covid_synth_data import load_dataset
from covid_synth_data.release.batches import batches

BATCH = 64


def as_files(dataset: datasets.Dataset, folder: Path) -> None:
    """The images as PNG files in a class folder, and a table as `COVID19_Dataset` reads it."""
    images = folder / "images" / "covid-19"
    images.mkdir(parents=True)
    names = []
    for row in dataset:
        names.append(f"{row['image_id']}.png")
        row["image"].save(images / names[-1])
    table = pd.DataFrame(
        {"filename": names, "finding": "Pneumonia/Viral/COVID-19", "view": "PA", "patientid": names}
    )
    table["offset"], table["modality"], table["folder"] = 0, "X-ray", "images"
    for column in ("sex", "age", "survival", "intubated", "location", "license", "date"):
        table[column] = ""
    table.to_csv(folder / "metadata.csv", index=False)


def repeated(dataset: torch.utils.data.Dataset, count: int) -> torch.utils.data.Dataset:
    """`count` items: the whole set as often as it fits, then its beginning."""
    whole, rest = divmod(count, len(dataset))
    return ConcatDataset([dataset] * whole + ([Subset(dataset, range(rest))] if rest else []))


def main() -> None:
    """Measure and write results/reading.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--release", type=Path, required=True)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    released = load_dataset("covid-synth-cxr", "gnc", root=asked.release)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        as_files(released, folder)
        rows = [i % len(released) for i in range(asked.images)]
        ours = released.select(rows)
        pngs = ImageFolder(folder / "images", transform=Compose([PILToTensor()]))
        with contextlib.redirect_stdout(io.StringIO()):
            xrays = xrv.datasets.COVID19_Dataset(
                imgpath=str(folder / "images" / "covid-19"),
                csvpath=str(folder / "metadata.csv"),
                views=["PA"],
            )
        loaders = {
            "ImageFolder": DataLoader(repeated(pngs, asked.images), BATCH, num_workers=asked.workers),
            "torchxrayvision": DataLoader(repeated(xrays, asked.images), BATCH, num_workers=asked.workers),
        }

        def read_ours() -> None:
            count = sum(len(images) for images, _ in batches(ours, BATCH, workers=asked.workers))
            assert count == asked.images

        def read_loader(key: str) -> None:
            first = "img" if key == "torchxrayvision" else 0
            count = sum(len(batch[first]) for batch in loaders[key])
            assert count == asked.images

        runs = {"ours": read_ours, **{key: lambda key=key: read_loader(key) for key in loaders}}
        for run in runs.values():
            run()
        times = alternate(runs, asked.rounds)
    with Image.open(
        io.BytesIO(released.cast_column("image", datasets.Image(decode=False))[0]["image"]["bytes"])
    ) as i:
        kind = f"{i.format} {i.size[0]} x {i.size[1]} {i.mode}"
    write(
        "reading",
        {
            "command": f"python benchmarks/performance/reading.py --release DIR --images {asked.images}"
            f" --workers {asked.workers} --rounds {asked.rounds}",
            "images": asked.images,
            "different_images": len(released),
            "stored_as": kind,
            "workers": asked.workers,
            "images_per_second": {key: asked.images / min(value) for key, value in times.items()},
            "ours_over_ImageFolder": ratio(times["ImageFolder"], times["ours"]),
            "ours_over_torchxrayvision": ratio(times["torchxrayvision"], times["ours"]),
        },
    )


if __name__ == "__main__":
    main()
