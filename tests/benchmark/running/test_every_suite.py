"""Each suite that comes with the package from end to end, tiny: phantoms, and a release of every config."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest
import tomlkit

from covid_synth_data import catalog, schema
from covid_synth_data.benchmark import list_suites, load_suite, report, results, run
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.release import loading, manifest, verification, writing

SIDE = 32
CLASSIFIERS = [name for name in list_suites() if load_suite(name).kind == "classification"]
FAST = ("calibration", "external", "quickstart")
"""Suites that every test run covers; `make test-slow` covers all others, about 10 s each."""
ROWS = 20
PHANTOM = {"size": SIDE, "patients": 10}
PAINTED = {"size": 64, "patients": 10}
"""Smaller films cannot be painted."""
LIMITS = {"max_positives": 3, "max_negatives": 5, "max_per_class": 5}
POSITIVES = 18


def tiny(name: str) -> ClassificationSuite:
    """A suite with its tasks, protocol and regimes, and with counts, films and a model that are small."""
    content = load_suite(name).model_dump(exclude_none=True)
    painted = any(made["kind"] == "painted" for made in content["made"].values())
    data = {**content["data"], "sources": ["phantom"], "phantom": PAINTED if painted else PHANTOM}
    data |= {key: LIMITS[key] for key in LIMITS if key in data}
    for regime in content["regimes"].values():
        regime |= {"positives": POSITIVES} if "positives" in regime else {}
        regime |= {"skew": 1.0} if "skew" in regime else {}
    # No phantom is left out by a protocol, so no generator has films of its own; test_more_real makes some.
    content["regimes"] = {
        name: regime for name, regime in content["regimes"].items() if not regime.get("generator_films")
    }
    content["cross"] = [name for name in content["cross"] if name in content["regimes"]]
    for made in content["made"].values():
        if made["kind"] == "held-back":
            made["count"] = 1
            made.pop("source", None)
    changes = {
        "name": f"tiny-{name}",
        "image_size": SIDE,
        "data": data,
        "folds": min(content["folds"], 2),
        "training": {"optimizer": "adam", "learning_rate": 0.01, "max_epochs": 1},
        "models": {"small-cnn": {"weights": "none"}},
        "profiles": {"quick": {"models": ["small-cnn"], "seeds": 1}},
    }
    return ClassificationSuite.model_validate({**content, **changes})


def noise_row(subset: str, number: int, side: int) -> dict[str, object]:
    """A sample of no film: its lineage is null, as a generator from noise leaves it."""
    pixels = np.random.default_rng([*subset.encode(), number]).integers(0, 256, (side, side), np.uint8)
    return {
        "image": {"bytes": encode_image(pixels, "png", 0), "path": f"{subset}-{number}.png"},
        "label": schema.COVID,
        "image_id": f"{subset}-{number:05d}",
        "subset": subset,
        "generator": f"{subset}.v1",
        "seed": 0,
        "source_dataset": None,
        "source_id": None,
        "source_class": None,
        "source_license": "CC BY 4.0",
        "variant": f"noise:{number}",
    }


def make_release(folder: Path, configs: list[str]) -> Path:
    """A release of these configs in sizes that are not the suite's; what `datasets` and `verify` read."""
    entries = {entry.config: entry for entry in catalog.DATASETS if entry.config in configs}
    subsets = dict.fromkeys(name for entry in entries.values() for name in entry.subsets)
    paths = {name: f"{name}/{name}-00000-of-00001.parquet" for name in subsets}
    for number, (name, path) in enumerate(paths.items()):
        side = 20 + 4 * (number % 5)
        writing.write(folder / path, (noise_row(name, i, side) for i in range(ROWS)), lambda _: None)
    header = "".join(
        f"- config_name: {config}\n  data_files:\n  - split: train\n    path:\n"
        + "".join(f"    - {paths[name]}\n" for name in entry.subsets)
        for config, entry in entries.items()
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{header}---\n")
    files = [writing.entry(folder, "README.md")]
    files += [writing.entry(folder, path, name) for name, path in paths.items()]
    made = {
        name: manifest.Subset(
            rows=ROWS,
            generator=f"{name}.v1",
            weights=None,
            recipe={},
            sources={},
            licences=["CC BY 4.0"],
            learned_from=manifest.Learned(films=["elsewhere/1"], patients=["elsewhere:1"]),
            code_version="0",
            git="",
            libraries={},
        )
        for name in subsets
    }
    listed = manifest.Manifest(format=1, name="covid-synth-cxr", version="0.1.0", subsets=made, files=files)
    manifest.write(folder, listed)
    return folder


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of all configs."""
    folder = tmp_path_factory.mktemp("every") / "covid-synth-cxr"
    return make_release(folder, [entry.config for entry in catalog.DATASETS])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in CLASSIFIERS]
)
def test_a_suite_runs_and_reports_every_regime(name, release, tmp_path):
    suite = tiny(name)
    paths = run(
        suite,
        out=tmp_path / "out",
        release=release,
        cache_dir=tmp_path / "cache",
        tasks=suite.tasks,
        device="cpu",
    )
    folds = range(suite.folds)
    wanted = [(task, name) for task in suite.tasks for _ in folds for name in suite.regimes_of(task)]
    assert [(path.parts[-5], path.parts[-2]) for path in paths] == wanted
    for path in paths:
        result = results.validate_result(path)
        made_of, rule = result.composition, result.regime_rule
        assert (result.suite, result.protocol, result.image_size) == (suite.name, suite.protocol, SIDE)
        assert made_of.synthetic.keys() == set(rule.synthetic)
        assert list(made_of.classes) == result.classes
        assert (result.metrics.multiclass is None) == (len(result.classes) == 2)
        assert made_of.real_negatives <= (suite.data.max_negatives or made_of.real_negatives)
        if rule.positives is not None:
            assert made_of.positives == POSITIVES
            assert (made_of.real_positives > 0) == (rule.mix == "add")
    text = report(tmp_path / "out")
    assert all(f"| {regime} " in text for _, regime in wanted)
    assert f"{suite.name} {suite.version}" in text


def test_noise_rows_come_as_they_were_written(release):
    assert verification.verify(release).whole
    rows = loading.load_dataset("covid-synth-cxr", "wgan", root=release)
    assert rows.features == schema.features(schema.SYNTHETIC_COLUMNS)
    assert len(rows) == ROWS
    assert set(rows["source_id"]) == set(rows["source_dataset"]) == set(rows["source_class"]) == {None}
    stream = loading.load_dataset("covid-synth-cxr", "wgan", root=release, streaming=True)
    assert [row["image_id"] for row in stream] == rows["image_id"][:]
    both = loading.load_dataset("covid-synth-cxr", "cyclegan", root=release)
    assert datasets.concatenate_datasets([both, rows]).num_rows == 3 * ROWS


def test_what_a_release_lacks_is_skipped(tmp_path, shell):
    """The shell, with a suite of one's own and a release of two of its configs."""
    suite = tiny("menon2020-binary").model_dump(exclude_none=True)
    path = tmp_path / "mine.toml"
    path.write_text(tomlkit.dumps(suite))
    some = make_release(tmp_path / "covid-synth-cxr", ["baseline-gan", "mtt-gan"])
    asked = ["benchmark", "run", path, "--release", some, "--out", tmp_path / "out", "--device", "cpu"]
    shell(*asked).error("cannot run without", "transfer-gan")
    done = shell(*asked, "--skip-missing")
    assert done.code == 0
    assert "10 result files" in done.out
    assert {found.parent.name for found in results.find(tmp_path / "out")} == {
        "real",
        "real-balanced",
        "real-weighted",
        "real-augmented",
        "baseline-gan",
        "mtt-gan",
        "real+mtt-gan",
        *(f"real+mtt-gan@{recipe}" for recipe in ("augmented", "balanced", "weighted")),
    }
