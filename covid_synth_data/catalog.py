"""One table of everything that is or will be released: one entry per dataset config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class DatasetEntry:
    """A config of a released dataset.

    `count` is the number of images of a full release, `size` their side in pixels, `subsets` the values of
    the column `subset` that the config holds, `folder` the folder of its parquet shards.
    """

    dataset: str
    config: str
    count: int
    size: int
    generator: str
    subsets: tuple[str, ...]
    folder: str
    paper: str
    description: str
    default: bool = False


REPOSITORIES: Final = {"covid-synth-cxr": "covid-synth-data/covid-synth-cxr"}
"""Dataset name to the Hub repository that `load_dataset` reads when no folder is given."""

PAPERS: Final = {
    "zunair2021": "Zunair & Hamza 2021, Synthesis of COVID-19 chest X-rays using unpaired image-to-image"
    " translation, Social Network Analysis and Mining 11:23, doi:10.1007/s13278-021-00731-5",
}
"""Short name to reference."""

DATASETS: Final = (
    DatasetEntry(
        "covid-synth-cxr", "cyclegan", 21_295, 256, "cyclegan-unet", ("gnc", "gpc"), "cyclegan", "zunair2021",
        "Both sets of the paper: every image shows COVID-19", default=True,
    ),
    DatasetEntry(
        "covid-synth-cxr", "gnc", 16_537, 256, "cyclegan-unet", ("gnc",), "cyclegan", "zunair2021",
        "G_NC: films without lung opacity translated to COVID-19",
    ),
    DatasetEntry(
        "covid-synth-cxr", "gpc", 4_758, 256, "cyclegan-unet", ("gpc",), "cyclegan", "zunair2021",
        "G_PC: films with pneumonia translated to COVID-19",
    ),
)  # fmt: skip
"""The table. A new family adds its rows here."""


def list_datasets() -> tuple[DatasetEntry, ...]:
    """All configs of all datasets, in the order of the table."""
    return DATASETS
