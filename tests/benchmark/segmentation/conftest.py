"""A tiny suite on CT phantoms, and a release of slices that no generator drew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from covid_synth_data import schema
from covid_synth_data.benchmark.suite import SegmentationSuite, load_suite
from covid_synth_data.ct import labelmaps, phantom, splits
from covid_synth_data.ct.complement import lung_only
from covid_synth_data.ct.slices import png
from covid_synth_data.release import manifest, writing

SIDE = 64
LINEAGE = ("source_dataset", "source_id", "source_class", "source_license")
CARD = """---
configs:
- config_name: ct
  data_files:
  - split: train
    path: ct/ct-*.parquet
---
"""
PHANTOM = {"size": SIDE, "patients": 9, "slices": 5}
Make = Callable[..., Path]


def changed(**tables: Any) -> SegmentationSuite:
    """The shipped suite on small phantoms with a tiny network; tables of it replaced."""
    content = load_suite("jiang2020").model_dump()
    content["name"] = "tiny"
    content["data"] |= {"source": "ct-phantom", "options": PHANTOM}
    content["profiles"] = {
        "quick": {
            "title": "tiny",
            "size": SIDE,
            "network": {"name": "unet", "channels": [4, 8, 16]},
            "training": {"epochs": 6, "batch_size": 2, "learning_rate": 3e-2},
        }
    }
    return SegmentationSuite.model_validate({**content, **tables})


@pytest.fixture(scope="session")
def suite() -> SegmentationSuite:
    return changed()


@pytest.fixture(scope="session")
def rows() -> list[dict[str, Any]]:
    return phantom.rows(**PHANTOM)


@pytest.fixture(scope="session")
def plan(rows) -> splits.Plan:
    return splits.plan_slices(rows)


@pytest.fixture(scope="session")
def pairs(plan) -> list[tuple[Any, str]]:
    """Twelve training slices with what is done to their label maps: augmented and moved in turn."""
    turns = zip(
        labelmaps.augmented(plan.train, 6, seed=1), labelmaps.moved(plan.train, 6, seed=1), strict=True
    )
    return [pair for turn in turns for pair in turn]


@pytest.fixture(scope="session")
def make_release(plan, rows) -> Make:
    """make_release(folder, pairs, learned=..., masks=...): a release whose lungs have the grey 77."""
    by_id = {row["image_id"]: row for row in rows}

    def make(
        folder: Path, pairs: list[tuple[Any, str]], learned: Any = None, masks: Any = labelmaps.read
    ) -> Path:
        made = []
        for number, (row, variant) in enumerate(pairs):
            mask = masks(row, variant, by_id, SIDE)
            image = lung_only(np.full_like(mask, 77), mask)
            made.append(
                {
                    "image": {"bytes": png(image), "path": f"{number}.png"},
                    "mask": {"bytes": png(mask), "path": f"{number}-mask.png"},
                    "label": schema.COVID,
                    "image_id": f"ct-{number:05d}",
                    "subset": "ct",
                    "generator": "grey.v1",
                    "seed": 0,
                    "variant": variant,
                    **{name: row[name] for name in LINEAGE},
                }
            )
        path = "ct/ct-00000-of-00001.parquet"
        writing.write(folder / path, made, lambda _: None, schema.SYNTHETIC_CT_COLUMNS)
        (folder / "README.md").write_text(CARD)
        learned = plan.train if learned is None else learned
        subset = manifest.Subset(
            rows=len(made),
            generator="grey.v1",
            weights=None,
            recipe={},
            sources={},
            licences=["CC0 1.0"],
            learned_from=manifest.Learned(
                films=[row["image_id"] for row in learned],
                patients=sorted({row["patient_id"] for row in learned}),
            ),
            code_version="0",
            git="",
            libraries={},
        )
        files = [writing.entry(folder, "README.md"), writing.entry(folder, path, "ct")]
        listed = manifest.Manifest(
            format=1, name="covid-synth-ct", version="0.1.0", subsets={"ct": subset}, files=files
        )
        manifest.write(folder, listed)
        return folder

    return make


@pytest.fixture(scope="session")
def release(make_release, pairs, tmp_path_factory) -> Path:
    return make_release(tmp_path_factory.mktemp("made") / "covid-synth-ct", pairs)
