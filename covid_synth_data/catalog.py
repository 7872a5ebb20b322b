"""The table of released datasets: one entry per config."""

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


REPOSITORIES: Final = {
    "covid-synth-cxr": "covid-synth-data/covid-synth-cxr",
    "covid-synth-ct": "covid-synth-data/covid-synth-ct",
}
"""Dataset name to the Hub repository that `load_dataset` reads when no folder is given."""

PAPERS: Final = {
    "zunair2021": "Zunair & Hamza 2021, Synthesis of COVID-19 chest X-rays using unpaired image-to-image"
    " translation, Social Network Analysis and Mining 11:23, doi:10.1007/s13278-021-00731-5",
    "menon2020": "Menon et al. 2020, Generating realistic COVID-19 X-rays with a mean teacher + transfer"
    " learning GAN, arXiv:2009.12478",
    "hussain2022": "Hussain et al. 2022, Wasserstein GAN based chest X-ray dataset augmentation for deep"
    " learning models: COVID-19 detection use-case, IEEE EMBC",
    "radford2016": "Radford et al. 2016, Unsupervised representation learning with deep convolutional"
    " generative adversarial networks, arXiv:1511.06434",
    "waheed2020": "Waheed et al. 2020, CovidGAN: data augmentation using auxiliary classifier GAN for"
    " improved COVID-19 detection, IEEE Access 8, doi:10.1109/ACCESS.2020.2994762",
    "motamed2021": "Motamed et al. 2021, Data augmentation using generative adversarial networks (GANs) for"
    " GAN-based detection of pneumonia and COVID-19 in chest X-ray images, Informatics in Medicine"
    " Unlocked 27",
    "jiang2020": "Jiang et al. 2020, COVID-19 CT image synthesis with a conditional generative adversarial"
    " network, IEEE Journal of Biomedical and Health Informatics 25(2), arXiv:2007.14638",
    "jacobi2020": "Jacobi et al. 2020, Portable chest X-ray in coronavirus disease-19 (COVID-19): a pictorial"
    " review, Clinical Imaging 64:35-42",
    "diffaug-gan": "Zhao et al. 2020, Differentiable augmentation for data-efficient GAN training,"
    " arXiv:2006.10738; Huang et al. 2024, The GAN is dead; long live the GAN! A modern baseline GAN,"
    " arXiv:2501.05441",
}
"""Short name to reference."""

DATASETS: Final = (
    DatasetEntry(
        "covid-synth-cxr",
        "cyclegan",
        21_295,
        256,
        "cyclegan-unet-tone",
        ("gnc", "gpc"),
        "cyclegan",
        "zunair2021",
        "Both sets of the paper: every image shows COVID-19",
        default=True,
    ),
    DatasetEntry(
        "covid-synth-cxr",
        "gnc",
        16_537,
        256,
        "cyclegan-unet-tone",
        ("gnc",),
        "cyclegan",
        "zunair2021",
        "G_NC: films without lung opacity translated to COVID-19",
    ),
    DatasetEntry(
        "covid-synth-cxr",
        "gpc",
        4_758,
        256,
        "cyclegan-unet-tone",
        ("gpc",),
        "cyclegan",
        "zunair2021",
        "G_PC: films with pneumonia translated to COVID-19",
    ),
    DatasetEntry(
        "covid-synth-cxr",
        "mtt-gan",
        1_400,
        128,
        "mtt-gan",
        ("mtt-gan",),
        "mtt-gan",
        "menon2020",
        "MTT-GAN: pretrained on other films, fine-tuned on COVID-19, sampled from its teacher",
    ),
    DatasetEntry(
        "covid-synth-cxr",
        "transfer-gan",
        1_400,
        128,
        "transfer-gan",
        ("transfer-gan",),
        "transfer-gan",
        "menon2020",
        "Transfer-GAN: the same without a teacher",
    ),
    DatasetEntry(
        "covid-synth-cxr",
        "baseline-gan",
        1_400,
        128,
        "baseline-gan",
        ("baseline-gan",),
        "baseline-gan",
        "menon2020",
        "Baseline GAN: neither, learned from augmented films",
    ),
    DatasetEntry(
        "covid-synth-cxr",
        "baseline-gan-plain",
        1_400,
        128,
        "baseline-gan",
        ("baseline-gan-plain",),
        "baseline-gan-plain",
        "menon2020",
        "Baseline GAN learned without augmentation",
    ),
    DatasetEntry(
        "covid-synth-cxr", "wgan", 10_192, 96, "wgan", ("wgan",), "wgan", "hussain2022", "Wasserstein GAN"
    ),
    DatasetEntry(
        "covid-synth-cxr",
        "dcgan",
        10_192,
        96,
        "dcgan",
        ("dcgan",),
        "dcgan",
        "radford2016",
        "DCGAN, a baseline in Table II of hussain2022",
    ),
    DatasetEntry(
        "covid-synth-cxr",
        "acgan",
        10_192,
        112,
        "acgan",
        ("acgan",),
        "acgan",
        "waheed2020",
        "CovidGAN, an auxiliary-classifier GAN, a rival in Table II of hussain2022",
    ),
    DatasetEntry(
        "covid-synth-cxr",
        "iagan",
        10_192,
        128,
        "iagan",
        ("iagan",),
        "iagan",
        "motamed2021",
        "IAGAN, a rival in Table II of hussain2022",
    ),
    DatasetEntry(
        "covid-synth-cxr",
        "diffaug-gan",
        2_000,
        128,
        "diffaug-gan",
        ("diffaug-gan",),
        "diffaug-gan",
        "diffaug-gan",
        "A small GAN of today: relativistic loss, gradient penalties, augmented discriminator",
    ),
    DatasetEntry(
        "covid-synth-cxr",
        "pairs",
        4_000,
        256,
        "lesions",
        ("pairs",),
        "pairs",
        "jacobi2020",
        "Pairs of a normal film and the same film with painted lesions, each with a map of the lesions",
    ),
    DatasetEntry(
        "covid-synth-ct",
        "ct",
        1_000,
        256,
        "ct-global-local",
        ("ct",),
        "ct",
        "jiang2020",
        "CT slices drawn from label maps of phantoms, the lung alone, each with its label map",
        default=True,
    ),
)
"""The table. A new family adds its rows here."""


def list_datasets() -> tuple[DatasetEntry, ...]:
    """All configs of all datasets, in the order of the table."""
    return DATASETS
