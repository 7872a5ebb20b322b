"""Cards: what the Hub reads, what people read, whom they name, and no number without a file behind it."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from pathlib import Path

import jinja2
import numpy as np
import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard

import covid_synth_data as csd
from covid_synth_data.benchmark.reporting import tables
from covid_synth_data.errors import ResultError
from covid_synth_data.release import manifest
from generation.releasing.documents import documents, render
from generation.releasing.documents import measured as evidence
from tests.generation.generation_results import POSITIVES, benchmark, measured

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
SECTIONS = (
    "Motivation",
    "Composition",
    "How the images were made",
    "Measured",
    "Known shortcuts and biases",
    "What it must not be used for",
    "Licences and attribution",
    "Citation",
    "Maintenance and versions",
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for seed in (0, 1):
        benchmark(folder, "real", seed, None)
        benchmark(folder, "real+gnc", seed)
    return folder


def rendered(release: Path, results: Path | None = None) -> str:
    manifest.write(release, documents.complete(release, manifest.read(release), results=results))
    return (release / "README.md").read_text()


def section(card: str, title: str) -> str:
    return card.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_hub_reads_the_header(release):
    card = DatasetCard.load(release / "README.md")
    data = card.data.to_dict()
    assert (data["license"], data["language"], data["size_categories"]) == ("cc0-1.0", ["en"], ["n<1K"])
    assert data["source_datasets"] == ["extended|other-phantom"]
    assert data["annotations_creators"] == ["machine-generated"]
    assert "image-classification" in data["task_categories"]
    assert [config["config_name"] for config in data["configs"]] == ["gnc"]
    assert data["dataset_info"][0]["splits"][0]["num_examples"] == 24
    assert "&" not in card.content.split("---")[1]
    assert "*" not in card.content.split("---")[1].replace("gnc-*.parquet", "")


def test_the_sections_of_a_datasheet_are_there(release):
    text = (release / "README.md").read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(SECTIONS)
    assert "Every image here is synthetic, and every one shows COVID-19" in text
    assert "Diagnosis" in section(text, "What it must not be used for")
    assert section(text, "Measured").count("Not measured for this version.") == 3
    assert "phantom" in section(text, "Known shortcuts and biases")
    assert "Kermany" not in text
    for column in csd.schema.SYNTHETIC_COLUMNS:
        assert f"`{column}`" in section(text, "Composition")


def test_the_same_release_gives_the_same_bytes(release, results):
    def documents_of() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in release.rglob("*") if path.is_file()}

    rendered(release, results)
    before = documents_of()
    rendered(release, results)
    assert documents_of() == before
    assert csd.verify(release).whole


def mean_of(files: list[Path], *keys: str) -> float:
    def value(path: Path) -> float:
        found = json.loads(path.read_text())["metrics"]
        for key in keys:
            found = found[key]
        return found

    return float(np.mean([value(path) for path in files]))


def test_every_number_of_the_benchmark_is_in_the_files_that_stand_beside_it(release, results):
    block = section(rendered(release, results), "Measured").split("### How close")[0]
    behind = {
        regime: [results / name for name in re.findall(r"`([^`]+\.json)`", line)]
        for line in block.splitlines()
        for regime in re.findall(r"^- small-cnn \(none\), `([^`]+)`:", line)
    }
    assert {regime: len(files) for regime, files in behind.items()} == {"real": 2, "real+gnc": 2}
    digests = re.findall(r"sha256 `([0-9a-f]{12})`", block)
    files = [file for group in behind.values() for file in group]
    assert digests == [hashlib.sha256(file.read_bytes()).hexdigest()[:12] for file in files]
    rows = [line for line in block.splitlines() if line.startswith("| small-cnn")]
    assert len(rows) == 2
    summary = {row.regime: row for row in tables.summarise(results)}
    for line in rows:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        named = behind[cells[1].strip("`")]
        content = [json.loads(path.read_text()) for path in named]
        assert cells[2] == "40, 8"
        assert cells[3] == ("24" if "gnc" in cells[1] else "none")
        assert cells[4] == f"{content[0]['composition']['skew']:.3f}"
        assert cells[5] == str(len(named))
        assert cells[6] == f"{np.mean([one['metrics']['confusion']['fn'] for one in content]):.3f}"
        for cell, key in zip(cells[7:10], ("sensitivity", "specificity", "auc"), strict=True):
            assert cell.startswith(f"{mean_of(named, key, 'value'):.3f} [")
            stated = getattr(summary[cells[1].strip("`")], key)
            assert cell.endswith(f"[{stated.low:.3f} to {stated.high:.3f}]")
        accounted = 2 + 1 + 1 + 1 + 1 + 3 * 3 + 2 * 3 - ("gnc" not in cells[1])
        assert sum(len(NUMBER.findall(cell)) for cell in cells[2:]) == accounted
    assert f"tested on {POSITIVES} positive" in block
    prose = [line for line in block.splitlines() if not line.startswith(("|", "-", "**"))]
    assert NUMBER.findall(" ".join(prose)) == ["95"]  # "95 % interval", a definition


def test_an_archive_stands_for_its_files(release, results, tmp_path):
    text = section(rendered(release, results), "Measured")
    packed = tmp_path / "packed"
    packed.mkdir()
    with tarfile.open(packed / "suite.tar.xz", "w:xz") as tar:
        for path in results.rglob("seed-*.json"):
            tar.add(path, path.relative_to(results).as_posix())
    shown = section(rendered(release, packed), "Measured")
    digest = hashlib.sha256((packed / "suite.tar.xz").read_bytes()).hexdigest()[:12]
    assert f"- All rows: `suite.tar.xz` (sha256 `{digest}`)" in shown

    def rows(card: str) -> list[str]:
        return [line for line in card.splitlines() if line.startswith("| small-cnn")]

    assert rows(shown) == rows(text)


def test_a_card_written_again_keeps_the_name_that_results_have_for_the_release(maintain, world, tmp_path):
    before = manifest.identity(world.release)
    benchmark(tmp_path / "results", "real+gnc", 0)
    for _ in range(2):
        assert maintain("card", world.release, "--results", tmp_path / "results").code == 0
        assert hashlib.sha256((world.release / "manifest.json").read_bytes()).hexdigest() != before
        assert manifest.identity(world.release) == before


def test_the_table_of_images_names_the_files_of_its_audits(release, tmp_path):
    shown = Path(__file__).resolve().parents[4] / "benchmarks/results/audit/300/pairs.json"
    content = json.loads(shown.read_text())
    listed = manifest.read(release)
    content["subject"] |= {"name": listed.name, "version": listed.version}
    (tmp_path / "results/audit").mkdir(parents=True)
    file = tmp_path / "results/audit/pairs.json"
    file.write_text(json.dumps(content))
    text = section(rendered(release, tmp_path / "results"), "Measured")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    assert "| heart at the wrong side | **synthetic** | 0.040 [0.021, 0.069] |" in text
    assert f"- Of these files: `audit/pairs.json` (sha256 `{digest}`)" in text


def test_results_of_other_versions_stay_out(release, tmp_path):
    benchmark(tmp_path / "results", "real+gnc", 0, "9.9.9")
    benchmark(tmp_path / "results", "real", 0, None)
    measured(tmp_path / "results", "fidelity", 3.25, "9.9.9")
    text = section(rendered(release, tmp_path / "results"), "Measured")
    assert text.count("Not measured for this version.") == 3
    assert "small-cnn" not in text


def newer(release: Path, since: str) -> None:
    """The release as version 1.3.0, whose images are those of version `since`."""
    listed = manifest.read(release)
    recipe = listed.subsets["gnc"].recipe
    subset = listed.subsets["gnc"].model_copy(
        update={"recipe": recipe | {"release": recipe["release"] | {"version": since}}}
    )
    manifest.write(release, listed.model_copy(update={"version": "1.3.0", "subsets": {"gnc": subset}}))


def test_results_of_an_earlier_version_with_the_same_images_stay(release, tmp_path):
    benchmark(tmp_path / "results", "real+gnc", 0, "1.2.0")
    benchmark(tmp_path / "results", "real", 0, None)
    measured(tmp_path / "results", "fidelity", 3.25, "1.2.0")
    newer(release, "1.10.0")  # made anew after they were measured
    text = section(rendered(release, tmp_path / "results"), "Measured")
    assert text.count("Not measured for this version.") == 3
    newer(release, "1.1.0")
    text = section(rendered(release, tmp_path / "results"), "Measured")
    assert re.search(r"^\|.*real\+gnc", text, re.MULTILINE)
    assert "a distance" in text
    assert text.count("Not measured for this version.") == 1


def test_a_result_that_contradicts_itself_reaches_no_card(release, results):
    before = (release / "README.md").read_bytes()
    path = next(results.rglob("real+gnc/seed-1.json"))
    content = json.loads(path.read_text())
    content["metrics"]["auc"]["value"] = 0.999
    path.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="auc"):
        rendered(release, results)
    assert (release / "README.md").read_bytes() == before


@pytest.mark.parametrize("kind", ["fidelity", "privacy"])
def test_properties_appear_with_their_file(release, tmp_path, kind):
    path = measured(tmp_path / "results", kind, 3.25)
    text = section(rendered(release, tmp_path / "results"), "Measured")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    assert (
        f"| `gnc` | a distance | 3.250 [2.250 to 4.250] | 24 | `{kind}/one.json` (sha256 `{digest}`) |"
        in text
    )
    assert text.count("Not measured for this version.") == 2
    path.write_text(path.read_text().replace('"n": 24', '"n": 0'))
    with pytest.raises(ResultError, match=r"metrics\.0\.n"):
        rendered(release, tmp_path / "results")


def test_a_number_needs_a_file():
    with pytest.raises(ValueError, match="no result file"):
        evidence.Number(0.93, ())
    for text in ("{{ 0.93 }}", "{{ 5 }}", "{{ true }}", "{{ x }}"):
        with pytest.raises(TypeError, match="no file behind it"):
            render.environment().from_string(text).render(x=1.5)
    with pytest.raises(TypeError, match="not a count"):
        render.environment().from_string("{{ x | count }}").render(x=0.5)
    with pytest.raises(jinja2.UndefinedError):
        render.environment().from_string("{{ auc }}").render()


@pytest.mark.parametrize("path", sorted(render.TEMPLATES.glob("*.jinja")), ids=lambda path: path.name)
def test_no_template_states_a_result(path):
    words = re.sub(
        r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|sha256|Apache-2\.0|COVID-19|covid-19|8-bit|fp16|95 %",
        "",
        path.read_text(),
    )
    assert NUMBER.findall(words) == []


def test_sheets_and_results_join_by_command(maintain, world, tmp_path):
    benchmark(tmp_path / "results", "real+gnc", 0)
    assert maintain("card", world.release, "--results", tmp_path / "results", "--sheets").code == 0
    text = (world.release / "README.md").read_text()
    assert "](sheets/gnc.png)" in text
    assert "seed-0.json" in text
    assert csd.verify(world.release).whole
    assert len(csd.load_dataset("covid-synth-cxr", "gnc", root=world.release)) == 24
    maintain("card", world.release, "--results", tmp_path / "nowhere").error("no folder")


def test_the_card_of_the_weights(release):
    text = (release / "weights/tiny.md").read_text()
    data = ModelCard(text).data.to_dict()
    assert (data["license"], data["pipeline_tag"]) == ("cc0-1.0", "image-to-image")
    known = json.loads((release / "weights/tiny.json").read_text())
    assert known["sha256"] in text
    assert "made the subset gnc" in text
    assert "Diagnosis" in text
    assert "weights/tiny.md" in {file.path for file in manifest.read(release).files}


def test_noise_needs_no_source_film(release):
    """A recipe without source class, as generators that start from noise have it."""
    listed = manifest.read(release)
    subset = listed.subsets["gnc"]
    recipe = {**subset.recipe, "family": "wgan"}
    recipe["data"] = {"classes": ["covid-19"], "tasks": ["normal-vs-covid"], "size": 32}
    recipe["training"] = {"steps": 20000, "epochs": None, "batch_size": 64}
    subset = subset.model_copy(update={"recipe": recipe, "sources": {}})
    manifest.write(release, listed.model_copy(update={"subsets": {"gnc": subset}}))
    text = rendered(release)
    assert "drawn from noise by a generator that learned from covid-19 films" in text
    assert "trained for 20,000 steps in batches of 64" in text
    assert "| `gnc` | 24 | none |" in text
    assert yaml.safe_load(text.split("---")[1])["configs"]
