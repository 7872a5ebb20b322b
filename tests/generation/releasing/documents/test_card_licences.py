"""Cards of restricted and of credited films: what may be published, and whom a card names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard

import covid_synth_data as csd
from covid_synth_data.errors import ReleaseError
from covid_synth_data.release import manifest
from covid_synth_data.sources import licences
from generation.releasing import documents as cards
from generation.releasing import licensing
from generation.releasing.documents import credits, documents
from tests.generation.releasing.documents.test_card import rendered, section


def relabel(release: Path, *names: str) -> manifest.Manifest:
    listed = manifest.read(release)
    subset = listed.subsets["gnc"].model_copy(update={"licences": sorted(names)})
    changed = listed.model_copy(
        update={"subsets": {"gnc": subset}, "restricted": licensing.restricted(names)}
    )
    manifest.write(release, changed)
    return changed


def test_licences_of_the_header():
    header = licensing.header
    assert header(["CC0 1.0"]) == {"license": "cc0-1.0"}
    assert header(["CC BY 4.0", "CC BY 3.0", licences.NIH]) == {"license": ["cc-by-3.0", "cc-by-4.0"]}
    assert header([licences.NIH])["license_name"] == "public-domain"
    for wrong in ("CC BY-NC-SA 4.0", "CC BY-ND 4.0", "CC BY-SA 4.0", "unknown", "ask us"):
        assert licensing.restricted(["CC BY 4.0", wrong]) == [wrong]
        assert header(["CC BY 4.0", wrong])["license"] == "other"


def test_a_restricted_release_says_so_everywhere(release):
    relabel(release, "CC BY 4.0", "CC BY-NC-ND 4.0", "unknown")
    text = rendered(release)
    data = DatasetCard.load(release / "README.md").data.to_dict()
    assert (data["license"], data["license_link"]) == ("other", "LICENSE.md")
    assert "restricted-sources" in data["tags"]
    assert text.index("**Restricted:") < text.index("**Every image here is synthetic")
    assert "CC BY-NC-ND 4.0, unknown" in text
    assert "**Restricted.**" in (release / "LICENSE.md").read_text()
    assert json.loads((release / "manifest.json").read_text())["restricted"] == ["CC BY-NC-ND 4.0", "unknown"]


def write_licence(release: Path, made: Path, wanted: str) -> None:
    card = made / "run" / "tiny.json"
    content = json.loads(card.read_text())
    card.write_text(json.dumps({**content, "licences": [wanted]}))
    shutil.rmtree(release)


def test_the_release_command_refuses_what_may_not_be_published(maintain, world):
    write_licence(world.release, world.folder, "CC BY-NC-SA 4.0")
    arguments = ("release", world.recipe, "--run", world.run, "--out", world.release, "--device", "cpu")
    maintain(*arguments).error("CC BY-NC-SA 4.0", "public domain, CC0 or CC BY", "--licenses any")
    assert not world.release.exists()
    maintain(*arguments, "--licenses", "some").error("unknown choice of licences")
    assert maintain(*arguments, "--licenses", "any").code == 0
    assert manifest.read(world.release).restricted == ["CC BY-NC-SA 4.0"]
    assert "license: cc-by-nc-sa-4.0\n" in (world.release / "README.md").read_text()  # beside CC0 phantoms
    assert "learned from films under CC BY-NC-SA 4.0" in (world.release / "weights/tiny.md").read_text()
    assert csd.verify(world.release).whole


def test_the_check_knows_its_policies():
    licensing.check(["CC0 1.0", "CC BY", licences.NIH], "permissive")
    licensing.check(["unknown"], "any")
    with pytest.raises(ReleaseError, match="found CC BY-SA 4.0, unknown;"):
        licensing.check(["CC BY 4.0", "unknown", "CC BY-SA 4.0"], "permissive")


@pytest.fixture
def chestxray(tmp_path):
    """Two licences image by image, one film without any, and the page of each."""
    folder = tmp_path / "root/covid-chestxray-dataset"
    (folder / "images").mkdir(parents=True)
    lines = ["patientid,finding,view,modality,folder,filename,url,license"]
    for number, licence in enumerate(["CC BY 4.0", "CC BY 4.0", "CC0", ""]):
        (folder / f"images/film-{number}.png").write_bytes(b"")
        page = f"https://example.org/case/{number // 2}"
        lines.append(f"{number},COVID-19,PA,X-ray,images,film-{number}.png,{page},{licence}")
    (folder / "metadata.csv").write_text("\n".join(lines))
    return folder.parent


def test_films_are_credited_where_their_licence_asks(chestxray):
    names = [f"covid-chestxray/film-{number}" for number in range(4)]
    found = cards.credits_for(["kermany/NORMAL-1", *names[:1]], [*names, "phantom/x", "rsna/y"], chestxray)
    assert [(row.image_id, row.licence, row.used_as) for row in found] == [
        (names[0], "CC BY 4.0", "translated and learned from"),
        (names[1], "CC BY 4.0", "learned from"),
        (names[3], "unknown", "learned from"),
        ("kermany/NORMAL-1", "CC BY 4.0", "translated"),
    ]
    assert found[2].published_at == "https://example.org/case/1"
    assert "mendeley" in found[3].published_at


def test_the_card_names_pages_and_the_file_each_film(release, chestxray):
    credited = cards.credits_for([], [f"covid-chestxray/film-{n}" for n in range(4)], chestxray)
    listed = documents.complete(release, manifest.read(release), credited)
    manifest.write(release, listed)
    text = section((release / "README.md").read_text(), "Licences and attribution")
    assert "- `covid-chestxray`, CC BY 4.0: 2 films, published at <https://example.org/case/0> (2)" in text
    assert credits.read(release) == credited
    assert credits.FILE in {file.path for file in listed.files}
    again = documents.complete(release, manifest.read(release), credited[:1])
    assert credits.read(release) == credited
    assert again == manifest.read(release) or {f.path: f.sha256 for f in again.files} == {
        f.path: f.sha256 for f in manifest.read(release).files
    }
    assert csd.verify(release).whole


def test_a_page_that_is_no_address_stays_out_of_the_card():
    rows = [
        credits.Credit("a/1", "a", "CC BY 4.0", "", "https://x.org/ok", "translated"),
        credits.Credit(
            "a/2", "a", "CC BY 4.0", "<b>Eve</b> & Ann", "https://x.org/)[click](javascript:1", "translated"
        ),
    ]
    (owe,) = credits.summary(rows, {})
    assert owe.pages == (("https://x.org/ok", 1),)
    assert owe.authors == ("bEveb  Ann",)
    assert owe.films == 2
