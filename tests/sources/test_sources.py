"""The registry and the public functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import covid_synth_data
from covid_synth_data import schema, sources
from covid_synth_data.errors import BadMetadata, ConfigError, MissingSource, UnknownName
from covid_synth_data.sources import load_source, read_source, source_status, table
from tests.sources.conftest import grey, xray

Make = Callable[..., Path]
PUBLIC = (
    "covid-chestxray",
    "covid-19-image-repository",
    "rsna",
    "kermany",
    "radiography",
    "covid-qu-ex",
    "siim-covid19",
    "bimcv-covid19",
    "covidgr",
    "ricord-1c",
    "covid-ct",
)
NEED_ROOT = tuple(name for name in PUBLIC if name != "rsna")


def test_list_sources() -> None:
    infos = sources.list_sources()
    assert tuple(info.name for info in infos) == (*PUBLIC, "phantom", "ct-phantom")
    assert covid_synth_data.list_sources is sources.list_sources
    for info in infos:
        assert set(info.classes) <= set(schema.LABELS)
        assert info.title
        assert info.citation
        assert info.licence
        if info.name in PUBLIC:
            assert info.homepage.startswith("https://")
            assert any(folder in info.how_to_obtain for folder in info.folders)
            assert info.expected_images > 0


def test_unknown_names() -> None:
    for call in (read_source, load_source, source_status):
        with pytest.raises(UnknownName, match="did you mean 'kermany'"):
            call("kermani", None)


def test_unknown_option(chestxray: Make) -> None:
    with pytest.raises(ConfigError, match=r"no option 'version'.*metadata"):
        read_source("covid-chestxray", chestxray([xray("a.png")]), version="x")
    with pytest.raises(ConfigError, match="no options"):
        read_source("kermany", None, metadata="current")


def test_unknown_views(chestxray: Make) -> None:
    with pytest.raises(UnknownName, match="frontal"):
        load_source("covid-chestxray", chestxray([xray("a.png")], ["a.png"]), views="lateral")


@pytest.mark.parametrize("name", NEED_ROOT)
def test_missing_sets_say_how_to_obtain_them(name: str, tmp_path: Path) -> None:
    with pytest.raises(MissingSource, match="COVID_SYNTH_SOURCES is not set"):
        read_source(name)
    with pytest.raises(MissingSource, match=r"Next: .*https://"):
        read_source(name, tmp_path)
    with pytest.raises(MissingSource, match="no folder"):
        read_source(name, tmp_path / "gone")
    status = source_status(name, tmp_path)
    assert (status.folder, status.images, status.summary) == (None, 0, "not found")
    assert source_status(name).summary == "no root given"


def test_root_from_the_environment(chestxray: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVID_SYNTH_SOURCES", str(chestxray([xray("a.png")], ["a.png"])))
    assert covid_synth_data.load_source("covid-chestxray").num_rows == 1


def test_the_folder_of_the_set_is_a_root_too(chestxray: Make) -> None:
    root = chestxray([xray("a.png")], ["a.png"])
    inside = root / "covid-chestxray-dataset"
    assert read_source("covid-chestxray", inside).equals(read_source("covid-chestxray", root))
    renamed = inside.rename(root / "something else")
    assert len(read_source("covid-chestxray", str(renamed))) == 1


def test_paths_are_absolute(chestxray: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = chestxray([xray("a.png")], ["a.png"])
    monkeypatch.chdir(root.parent)
    assert Path(read_source("covid-chestxray", root.name)["path"][0]).is_absolute()


def test_status_counts_a_partial_download(chestxray: Make) -> None:
    rows = [xray("a.png"), xray("b.png"), xray("v.nii.gz", folder="volumes", modality="CT", view="Axial")]
    root = chestxray(rows, ["a.png"])
    status = source_status("covid-chestxray", root)
    assert status.folder == root / "covid-chestxray-dataset"
    assert (status.images, status.missing, status.expected, status.problem) == (1, 1, 930, "")
    assert status.summary == "1 of 930 images, 1 rows without a file, 1 usable"


def test_status_of_a_damaged_set_says_the_problem(chestxray: Make) -> None:
    root = chestxray([xray("a.png")], ["a.png"])
    (root / "covid-chestxray-dataset" / "metadata.csv").write_bytes(b"\xff\xfe")
    status = source_status("covid-chestxray", root)
    assert status.summary == f"unreadable: {status.problem}"
    assert "UTF-8" in status.problem
    with pytest.raises(BadMetadata):
        read_source("covid-chestxray", root)


def test_one_usable_film_is_enough_none_is_an_error(chestxray: Make) -> None:
    root = chestxray([xray("a.png", view="L")], ["a.png"])
    with pytest.raises(MissingSource, match=rf"no usable image in 1 rows \({table.LATERAL}\)"):
        load_source("covid-chestxray", root)
    assert load_source("covid-chestxray", root, views="all").num_rows == 1


def test_sources_can_be_joined(chestxray: Make) -> None:
    import datasets

    root = chestxray([xray("a.png")], ["a.png"])
    grey(root / "chest_xray" / "train" / "NORMAL" / "IM-1-1.jpeg")
    joined = datasets.concatenate_datasets(
        [load_source("covid-chestxray", root), load_source("kermany", root)]
    )
    assert joined["label"][:] == [2, 0]
    assert tuple(joined.column_names) == schema.REAL_COLUMNS


def test_no_image_is_opened(chestxray: Make) -> None:
    root = chestxray([xray("a.png")], ["a.png"])
    (root / "covid-chestxray-dataset" / "images" / "a.png").write_bytes(b"")
    assert read_source("covid-chestxray", root)["excluded"].tolist() == [""]
    assert source_status("covid-chestxray", root).images == 1
    assert load_source("covid-chestxray", root).num_rows == 1


def test_phantoms_are_built_in() -> None:
    status = source_status("phantom")
    assert (status.folder, status.missing, status.problem) == (None, 0, "")
    frame = read_source("phantom", size=32, patients=2, seed=1)
    assert list(frame.columns[: len(table.COLUMNS)]) == list(table.COLUMNS)
    assert load_source("phantom", size=32, patients=2, seed=1)[0]["image"].size == (32, 32)
    with pytest.raises(ConfigError, match="no option 'colour'"):
        read_source("phantom", colour="red")
