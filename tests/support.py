"""Small films, folders and trained generators for tests, and what is in a folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image


def film(path: Path, seed: int, side: int = 64) -> Path:
    """A film of coarse noise, unlike that of any other seed, in the format of the extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng([11, seed]).integers(0, 256, (16, 16), dtype=np.uint8)
    Image.fromarray(coarse).resize((side, side), Image.Resampling.NEAREST).save(path)
    return path


def write_root(root: Path, normals: int = 20, positives: int = 9) -> Path:
    """Two sets in their own layouts, enough for the task normal-vs-covid; returns `root`."""
    for number in range(normals):
        film(root / f"chest_xray/train/NORMAL/IM-{number:04d}-0001.jpeg", number)
    film(root / "chest_xray/train/PNEUMONIA/person1_virus_6.jpeg", 500)
    rows = [f"{number},film-{number},X-Ray,pa" for number in range(positives)]
    for number in range(positives):
        film(root / f"covid-19-image-repository/png/film-{number}.png", 1000 + number)
    text = "\n".join(["patient_id,image_id,modality,projection", *rows, ""])
    (root / "covid-19-image-repository/data.csv").write_text(text)
    return root


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below `folder` with the bytes of the file, None for a folder. Locks are left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.suffix != ".lock"
    }


def sampler_weights(path: Path, architecture: str = "dcgan", **card: Any) -> Path:
    """Weights of a small generator that starts from noise, with the card of a finished training.

    A dcgan makes COVID-19 films of 96 px; a diffaug-gan makes three classes of 32 px.
    """
    import torch

    from covid_synth_data import generators
    from covid_synth_data.generators import weights

    options: dict[str, dict[str, Any]] = {
        "dcgan": {"width": 2, "latent": 4},
        "diffaug-gan": {"size": 32, "width": 4, "latent": 4, "classes": 3},
    }
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = generators.build(architecture, **options[architecture])
        if architecture == "diffaug-gan":  # its residual branches start at zero
            for parameter in network.parameters():
                torch.nn.init.normal_(parameter, std=0.3)
        else:
            for _ in range(20):  # running statistics
                network(torch.rand(16, 4))
    conditional = architecture == "diffaug-gan"
    weights.save(
        path,
        network.state_dict(),
        {
            "name": f"{architecture}.test",
            "kind": "sampler",
            "architecture": architecture,
            "options": options[architecture],
            "size": 32 if conditional else 96,
            "classes": ["normal", "pneumonia", "covid-19"] if conditional else [],
            "target_class": None if conditional else "covid-19",
            "licences": ["CC BY 4.0", "CC0 1.0"],
            "training": {
                "recipe": {"name": "test"},
                "learned_from": {"films": ["phantom/covid-19-0001-1"], "patients": ["phantom:covid-19-0001"]},
            },
            "package_version": "0",
            **card,
        },
    )
    return path


def fake_subset(learned_from: dict[str, list[str]]) -> dict[str, Any]:
    """A manifest's entry of a subset whose generator learned from these; for `write_weights`."""
    return {
        "rows": 12,
        "generator": "fake.v1",
        "weights": "weights/fake.safetensors",
        "recipe": {},
        "sources": {},
        "learned_from": learned_from,
        "licences": [],
        "code_version": "0",
        "git": "",
        "libraries": {},
    }


def write_weights(release: Path, learned_from: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Bytes for `weights/fake.safetensors`, and their card; the entries of both for a manifest."""
    (release / "weights").mkdir(exist_ok=True)
    content = {"weights/fake.safetensors": b"fake"}
    card = {"sha256": hashlib.sha256(b"fake").hexdigest(), "training": {"learned_from": learned_from}}
    content["weights/fake.json"] = json.dumps(card).encode()
    for name, data in content.items():
        (release / name).write_bytes(data)
    return [
        {"path": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, data in content.items()
    ]


def thinned(splits: datasets.DatasetDict, label: str = "covid-19", every: int = 8) -> datasets.DatasetDict:
    """All films of the class `label`, and one in `every` of the others: to look for leaks of the real sets
    in a minute. Each task looks at all of them when it is planned."""
    chosen = datasets.DatasetDict()
    for name, part in splits.items():
        number = part.features["label"].str2int(label)
        chosen[name] = part.select(
            [i for i, one in enumerate(part["label"]) if one == number or i % every == 0]
        )
    return chosen
