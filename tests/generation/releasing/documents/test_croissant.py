"""croissant.json: valid to the reference implementation, true to the files, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from pathlib import Path

import pytest

from covid_synth_data import catalog, schema
from covid_synth_data.release import manifest, places
from generation.releasing.documents import complete, croissant, provenance, responsible

pytestmark = [
    # What mlcroissant and its RDF library say of their own use of other libraries.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture
def release(made_release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_release / "covid-synth-cxr", tmp_path / "covid-synth-cxr"))


def two_subsets(release: Path) -> manifest.Manifest:
    """The release with a second subset, whose rows are those of the first."""
    listed = manifest.read(release)
    shards = [file for file in listed.files if file.subset]
    for file in shards:
        shutil.copy(release / file.path, release / file.path.replace("gnc", "gpc"))
    more = [
        file.model_copy(update={"path": file.path.replace("gnc", "gpc"), "subset": "gpc"}) for file in shards
    ]
    return listed.model_copy(
        update={"subsets": {**listed.subsets, "gpc": listed.subsets["gnc"]}, "files": [*listed.files, *more]}
    )


def load(path: Path):
    import mlcroissant

    return mlcroissant.Dataset(jsonld=path)


def test_mlcroissant_finds_no_fault(release, caplog):
    manifest.write(release, complete(release, two_subsets(release)))
    with caplog.at_level(logging.WARNING):
        dataset = load(release / croissant.NAME)
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    # The date of publication is left out on purpose.
    assert all("datePublished" in warning for warning in issues.warnings)
    assert [records.id for records in dataset.metadata.record_sets] == ["labels", "cyclegan", "gnc", "gpc"]
    rows = list(dataset.records("gnc"))
    assert len(rows) == 24
    assert set(rows[0]) == {f"gnc/{column}" for column in schema.SYNTHETIC_COLUMNS}
    assert rows[0]["gnc/image"].size == (32, 32)
    assert rows[0]["gnc/label"] == schema.COVID
    assert rows[0]["gnc/image_id"] == b"gnc-00000"
    assert len(list(dataset.records("cyclegan"))) == 48
    assert [row["labels/name"] for row in dataset.records("labels")] == list(schema.LABELS)


def test_what_is_said_of_biases_uses_and_persons(release):
    """Read back by mlcroissant under the vocabulary's own names."""
    metadata = load(release / croissant.NAME).metadata
    assert metadata.conforms_to == ["http://mlcommons.org/croissant/1.1"]
    assert any("Age, sex, origin" in sentence for sentence in metadata.data_biases)
    assert any("not independent" in sentence for sentence in metadata.data_limitations)
    assert any("diagnosis" in sentence for sentence in metadata.data_use_cases)
    assert any("No anonymity" in sentence for sentence in metadata.personal_sensitive_information)
    assert metadata.machine_annotation_tools == ["cyclegan-unet.tiny"]
    assert metadata.data_preprocessing_protocol[0].startswith("gnc: 24 images")
    text = (release / croissant.NAME).read_text()
    assert "children" not in text
    assert "each pair" not in text


def test_sentences_stand_where_the_release_has_what_they_speak_of():
    found = responsible.fields(manifest.read(places.CHECKOUT / "covid-synth-cxr"))
    assert any("children" in sentence for sentence in found["data_biases"])
    assert any("infection masks" in sentence for sentence in found["data_limitations"])
    assert any("real film in the public domain" in text for text in found["personal_sensitive_information"])


def test_where_the_images_come_from_as_rdf(release):
    """The triples that a reader of linked data gets: sources and runs, of the dataset and of each config."""
    import rdflib

    graph = rdflib.Graph().parse(release / croissant.NAME, format="json-ld")
    prov = rdflib.Namespace(provenance.ADDRESS)
    (dataset,) = graph.subjects(rdflib.RDF.type, rdflib.URIRef("https://schema.org/Dataset"))
    shards = [node for node in graph.subjects() if str(node).endswith("/gnc-shards")]
    for node in (dataset, shards[0]):
        entities = set(graph.objects(node, prov.wasDerivedFrom))
        assert {str(label) for one in entities for label in graph.objects(one, prov.label)} == {"phantom"}
        (run,) = graph.objects(node, prov.wasGeneratedBy)
        assert (run, rdflib.RDF.type, prov.Activity) in graph
        assert "translation of real films" in str(graph.value(run, prov.label))
        assert "24 images" in str(graph.value(run, prov.label))
        weights = graph.value(graph.value(run, prov.used), prov.label)
        assert (release / str(weights)).is_file()
        (agent,) = graph.objects(run, prov.wasAssociatedWith)
        assert "covid-synth-data" in str(graph.value(agent, prov.label))


def test_painting_and_translation_are_different_runs():
    listed = manifest.read(places.CHECKOUT / "covid-synth-cxr")
    content = croissant.describe(listed)
    labels = [run["prov:label"] for run in content["prov:wasGeneratedBy"]]
    assert labels == [
        "sampling from a generator: diffaug-gan.cpu, 2,000 images",
        "translation of real films by a generator: cyclegan-unet-tone.nc, 16,537 images",
        "translation of real films by a generator: cyclegan-unet-tone.pc, 4,758 images",
        "painting of lesions by rules: lesions.pairs, 4,000 images",
    ]
    parts = {part["@id"]: part for part in content["distribution"]}
    assert [one["prov:label"] for one in parts["pairs-shards"]["prov:wasDerivedFrom"]] == ["radiography"]
    assert "prov:used" not in parts["pairs-shards"]["prov:wasGeneratedBy"][0]
    assert not any("prov:wasGeneratedBy" in part for name, part in parts.items() if name.endswith(".parquet"))


def test_mlcroissant_does_find_faults(release):
    """The check above can fail."""
    path = release / croissant.NAME
    content = json.loads(path.read_text())
    content["recordSet"][1]["field"][0]["source"]["fileSet"]["@id"] = "elsewhere"
    path.write_text(json.dumps(content))
    with pytest.raises(Exception, match="elsewhere"):
        load(path)


def test_every_shard_stands_there_as_it_is(release):
    content = json.loads((release / croissant.NAME).read_text())
    files = {one["contentUrl"]: one for one in content["distribution"] if one["@type"] == "cr:FileObject"}
    assert set(files) == {path.relative_to(release).as_posix() for path in release.glob("cyclegan/*")}
    for path, one in files.items():
        raw = (release / path).read_bytes()
        assert one["sha256"] == hashlib.sha256(raw).hexdigest()
        assert one["contentSize"] == f"{len(raw)} B"
    assert content["version"] == "0.0.1"
    assert content["license"] == "https://creativecommons.org/publicdomain/zero/1.0/"
    assert catalog.REPOSITORIES["covid-synth-cxr"] in content["url"]


def test_the_same_bytes_every_time_and_in_the_manifest(release):
    before = (release / croissant.NAME).read_bytes()
    listed = complete(release, manifest.read(release))
    assert (release / croissant.NAME).read_bytes() == before
    (entry,) = (file for file in listed.files if file.path == croissant.NAME)
    assert entry.sha256 == hashlib.sha256(before).hexdigest()


def test_every_column_is_described():
    assert set(croissant.DESCRIPTIONS) == set(schema.SYNTHETIC_COLUMNS)
    assert set(croissant.PAIR_DESCRIPTIONS) == set(schema.PAIR_COLUMNS)
    assert set(croissant.CT_DESCRIPTIONS) == set(schema.SYNTHETIC_CT_COLUMNS)
