"""Loading released datasets: a config is found in one of several places and read with `datasets`."""

from __future__ import annotations

import errno
import hashlib
import logging
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from covid_synth_data import catalog, schema
from covid_synth_data.errors import (
    ConfigError,
    CorruptRelease,
    CovidSynthError,
    HubError,
    OutputError,
    ReleaseError,
    UnknownName,
)
from covid_synth_data.files.atomic import output_errors
from covid_synth_data.files.cache import cache_folder
from covid_synth_data.release import arrow_copy, card_yaml, hub, manifest, places, shards
from covid_synth_data.release.verification import card_path, difference

if TYPE_CHECKING:
    import datasets

_DAMAGED: Final = (OSError, ValueError, TypeError, LookupError, AttributeError)
"""What `datasets` raises, besides its own errors, where a card or the metadata of a shard says odd things."""

_CANNOT_WRITE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG)


def entry(name: str, config: str | None = None, root: str | Path | None = None) -> catalog.DatasetEntry:
    """The catalog entry of a config; the default config where `config` is None. Raises `UnknownName`.

    `name` is a dataset, or a repository of it: ORG/DATASET. A config that the catalog lacks is looked for in
    the release at `root`, or in those that COVID_SYNTH_RELEASES names: imported images are there.
    """
    dataset = name.rpartition("/")[2]
    configs = {item.config: item for item in catalog.DATASETS if item.dataset == dataset}
    if not configs:
        raise UnknownName("dataset", name, {item.dataset for item in catalog.DATASETS})
    if config is None:
        return next((item for item in configs.values() if item.default), next(iter(configs.values())))
    if config in configs:
        return configs[config]
    releases = [_folder(Path(root), dataset)] if root is not None else places.named(dataset)
    there: set[str] = set()
    for folder in releases:
        if not (folder / manifest.NAME).is_file():
            continue
        subsets = manifest.read(folder).subsets
        if config in subsets:
            return _entry_of(dataset, config, subsets[config])
        there |= {name for name, subset in subsets.items() if subset.imported is not None}
    raise UnknownName(f"config of {dataset}", config, {*configs, *there})


def _entry_of(dataset: str, config: str, subset: manifest.Subset) -> catalog.DatasetEntry:
    """A catalog entry for a config that only the manifest of a release names."""
    size = max(subset.imported.size) if subset.imported is not None else 0
    about = "imported images" if subset.imported is not None else "images of a release"
    return catalog.DatasetEntry(
        dataset, config, subset.rows, size, subset.generator, (config,), config, "", about
    )


def repository(name: str) -> str:
    """The Hub repository of a dataset; ORG/DATASET is one already, a fork or a mirror's.

    Raises `UnknownName`, and `ConfigError` for what can be no repository, as a path.
    """
    if "/" not in name:
        return catalog.REPOSITORIES[entry(name).dataset]
    if re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) is None:
        raise ConfigError(
            f"{name} is no repository",
            found=repr(name),
            expected="ORG/DATASET",
            hint="name a dataset or its repository; load_dataset reads a release folder by its path",
        )
    return name


def _named(name: str | Path, root: str | Path | None) -> tuple[str, str | Path | None]:
    """The dataset `name`, and the folder to read it from: `root`, or that of which `name` is the path.

    A path is a `Path`, begins with ".", "/" or "~", or is that of a folder with a manifest. Raises
    `ReleaseError` and `CorruptRelease` where it leads to no release.
    """
    text, folder = str(name), Path(name).expanduser()
    if root is not None:
        return text, root
    given = isinstance(name, Path) or text.startswith((".", "/", "~"))
    if given or ("/" in text and (folder / manifest.NAME).is_file()):
        return manifest.read(folder).name, folder
    return text, None


def release_folder(name: str | Path, version: str | None = None, root: str | Path | None = None) -> Path:
    """The folder with the manifest of a release; found where `load_dataset` finds the same arguments.

    Of a release on the Hub it holds the manifest, in the cache, and what else was fetched before.
    """
    name, root = _named(name, root)
    if root is not None:
        folder = _folder(Path(root).expanduser(), entry(name).dataset)
        _listed(folder, version)
        return folder
    place = _here(name, (), version)
    if place is not None:
        return place.folder
    repo = repository(name)
    return hub.fetch(repo, hub.resolve(repo, version)).folder


def folder_with_cards(name: str | Path, version: str | None = None, root: str | Path | None = None) -> Path:
    """`release_folder`, with the cards of the weights of all subsets: fetched where the release is cached.

    The cards say what the generators learned from (`verification.trained_on`). Raises what `fetch` raises.
    """
    name, root = _named(name, root)
    folder = release_folder(name, version, root)
    place = _here(name, (), version) if root is None else None
    if root is None and (place is None or place.kind == "cache"):
        listed = manifest.read(folder)
        cards = [path for subset in listed.subsets.values() if (path := card_path(subset)) is not None]
        return hub.fetch(repository(name), listed.version, (), cards).folder
    return folder


def release_manifest(
    name: str | Path, version: str | None = None, root: str | Path | None = None
) -> manifest.Manifest:
    """The manifest of a release, which is looked for where `load_dataset` looks with the same arguments."""
    return manifest.read(release_folder(name, version, root))


def load_dataset(
    name: str | Path,
    config: str | None = None,
    split: str = "train",
    version: str | None = None,
    root: str | Path | None = None,
    streaming: bool = False,
) -> datasets.Dataset:
    """A config of a released dataset, in `schema.SYNTHETIC_COLUMNS`; `image` is decoded when it is read, as
    8-bit grey ("L"), whatever its codec.

    `name` is a dataset, a repository of it (ORG/DATASET), or the path of a release folder. `root` is a
    release folder, or a folder that holds one named like the dataset. Without `root` a dataset is looked for
    in the cache, in the `releases/` of a checkout, in the folders that COVID_SYNTH_RELEASES names, and on the
    Hub (`release.places`). A repository is read from the Hub alone, or from the mirror that HF_ENDPOINT
    names. `version` is X.Y.Z, or "latest" for the newest published. None stands for the newest on this
    machine or, where there is none, for the newest published. What is on this machine needs no network. What
    comes from the Hub is compared with the manifest before its first use.

    With `streaming` the result is a `datasets.IterableDataset` that reads shards as it goes; shards that are
    not in the cache are not checked. Raises `UnknownName`, `ReleaseError` when the version or config is not
    there, `CorruptRelease` when files of the config are missing, cut short or changed, `HubError`.
    """
    name, root = _named(name, root)
    chosen = entry(name, config, root)
    if split != "train":
        raise UnknownName("split", split, ["train"])
    place = _here(name, chosen.subsets, version) if root is None else None
    if root is None and (place is None or place.kind == "cache"):
        exact = version if place is None else place.listed.version
        try:
            return _from_hub(repository(name), chosen, exact, streaming)
        except HubError as error:
            raise error if "/" in name else places.nowhere(chosen, version, error) from error
    folder = place.folder if place is not None else _folder(Path(str(root)).expanduser(), chosen.dataset)
    listed = _listed(folder, version)
    _check_subsets(str(folder), listed, chosen)
    check = partial(_check_shards, folder, listed, chosen.subsets)
    check(content=False)
    card_yaml.check(folder, listed, chosen.config, chosen.subsets)
    files = [file for subset in chosen.subsets for file in shards.of(listed, subset)]
    promised = _promised(folder, chosen.config)
    return _read(folder, chosen.config, files, streaming=streaming, check=check, features=promised)


def _promised(folder: Path, config: str) -> Any:
    """The columns that the card of a release promises for a config; None where it promises none."""
    import datasets
    import yaml

    try:
        known = datasets.info.DatasetInfosDict.from_directory(str(folder)).get(config)
    except (*_DAMAGED, yaml.YAMLError, datasets.exceptions.DatasetsError) as error:
        raise _unreadable(folder, config, error) from error
    return known.features if known is not None else None


def _here(name: str, subsets: tuple[str, ...], version: str | None) -> places.Place | None:
    """The place on this machine to read a dataset from; None for a repository, and where there is none."""
    if "/" in name or version == hub.LATEST:
        return None
    return places.find(entry(name).dataset, subsets, version)


def fetch(name: str, config: str | None = None, version: str | None = None) -> Path:
    """Bring a config, or with `config` None all subsets of the release, into the cache; its folder there.

    `version` is X.Y.Z, or None for the newest published. Every file is compared with the manifest. An
    interrupted call fetches only the rest when called again. Raises `UnknownName`, `ReleaseError`,
    `CorruptRelease`, `HubError`.
    """
    repo = repository(name)
    exact = hub.resolve(repo, version)
    subsets = entry(name, config).subsets if config else tuple(hub.fetch(repo, exact).listed.subsets)
    return hub.fetch(repo, exact, subsets, ("weights/",)).folder


def _from_hub(repo: str, chosen: catalog.DatasetEntry, version: str | None, streaming: bool) -> Any:
    """The config from the cache and the Hub; shards are named one by one, whatever the card says of them."""
    exact = hub.resolve(repo, version, chosen.subsets)
    snapshot = hub.fetch(repo, exact)
    _check_subsets(f"{repo} v{exact}", snapshot.listed, chosen)
    if streaming and not snapshot.holds(chosen.subsets):
        return _stream(repo, snapshot, chosen)
    snapshot = hub.fetch(repo, exact, chosen.subsets)
    files = snapshot.files(chosen.subsets)
    check = partial(hub.check_again, repo, snapshot, files)
    return _read(snapshot.folder, chosen.config, files, streaming=streaming, check=check)


def _stream(repo: str, snapshot: hub.Snapshot, chosen: catalog.DatasetEntry) -> Any:
    """Shards that are read over the network, at the commit of the tag."""
    import datasets

    where = f"hf://datasets/{repo}@{snapshot.folder.name}"
    files = [f"{where}/{file.path}" for file in snapshot.files(chosen.subsets)]
    with hub.explained(f"{repo} v{snapshot.listed.version} cannot be streamed"):
        rows = datasets.load_dataset(
            "parquet", chosen.config, data_files=files, split="train", streaming=True
        )
        return schema.as_grey(rows)


def _read(
    folder: Path,
    config: str,
    files: list[manifest.File],
    *,
    streaming: bool,
    check: Callable[[], None],
    features: Any = None,
) -> Any:
    """The shards `files` of the release `folder`; what `datasets` raises becomes one line about the config.

    They are handed over as files that are known to be there, with the hashes by which a copy of them is known
    again. As names they would be patterns, in which brackets mean something else. `check` compares them with
    the manifest, every byte, before they are copied (`arrow_copy`).
    """
    import datasets
    import yaml
    from datasets.data_files import DataFilesDict, DataFilesList

    # Besides raising, datasets logs a shard that it cannot read; the error below says it once.
    logging.getLogger("datasets.packaged_modules.parquet.parquet").setLevel(logging.CRITICAL)
    paths = [_without_hops(folder) / file.path for file in files]
    known = [(file.sha256, str(path.stat().st_mtime_ns)) for file, path in zip(files, paths, strict=True)]
    data = DataFilesDict({"train": DataFilesList([str(path) for path in paths], origin_metadata=known)})
    options = {"data_files": data, "features": features}
    key = hashlib.sha256(repr((config, list(map(str, paths)), known, features)).encode()).hexdigest()[:32]
    home = Path(datasets.config.HF_DATASETS_CACHE) / "covid-synth-data" / key
    try:
        if streaming:
            rows: Any = datasets.load_dataset("parquet", config, split="train", streaming=True, **options)
        else:
            rows = arrow_copy.read(
                lambda: datasets.load_dataset_builder("parquet", config, cache_dir=str(home), **options),
                home,
                check,
            )
        # Cards of releases before this rule say `image` alone, which gives RGB for lossy WebP.
        return schema.as_grey(rows)
    except (*_DAMAGED, yaml.YAMLError, datasets.exceptions.DatasetsError) as error:
        raise _unreadable(folder, config, error) from error


def _without_hops(folder: Path) -> Path:
    """The folder under an absolute name without "::", which `datasets` takes for a chain of addresses.

    Where its own name has one, a symbolic link in the cache stands for it. Raises `OutputError`.
    """
    whole = folder.absolute()
    if "::" not in str(whole):
        return whole
    link = cache_folder().absolute() / "links" / hashlib.sha256(str(whole).encode()).hexdigest()[:16]
    with output_errors(link):
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(whole, target_is_directory=True)
    return link


def _listed(folder: Path, version: str | None) -> manifest.Manifest:
    """The manifest of a folder, which holds one version. Raises `ReleaseError` when another is asked for."""
    listed = manifest.read(folder)
    if version not in (None, hub.LATEST, listed.version):
        raise ReleaseError(
            f"{folder} is another version",
            found=listed.version,
            expected=version,
            hint="leave version out, or give the folder of that version",
        )
    return listed


def _check_subsets(where: str, listed: manifest.Manifest, chosen: catalog.DatasetEntry) -> None:
    missing = [subset for subset in chosen.subsets if subset not in listed.subsets]
    if missing:
        raise ReleaseError(
            f"{where} does not hold the config {chosen.config!r}",
            found="subsets " + ", ".join(sorted(listed.subsets)),
            expected=", ".join(chosen.subsets),
            hint="release the missing subset into the same folder, or load one that is there",
        )


def _folder(root: Path, name: str) -> Path:
    """`root` itself or `root`/`name`, whichever has a manifest (`root` where neither has, for the error)."""
    below = root / name
    return below if not (root / manifest.NAME).is_file() and below.is_dir() else root


def _unreadable(folder: Path, config: str, error: Exception) -> CovidSynthError:
    """The error for a config that `datasets` could not read, or could not keep in its cache."""
    import datasets

    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, OSError) and cause.errno in _CANNOT_WRITE:
        return OutputError(
            f"cannot write to the cache {datasets.config.HF_DATASETS_CACHE}",
            found=(cause.strerror or str(cause)).lower(),
            expected="a writable place with enough room",
            hint="free some space, or let HF_DATASETS_CACHE name another folder",
        )
    return CorruptRelease(
        f"the config {config!r} of {folder} cannot be read",
        found=(str(cause).splitlines() or [type(cause).__name__])[0],
        expected="the files as released",
        hint=f"covid-synth verify {folder} says which file differs; fetch the release again",
    )


def _check_shards(
    folder: Path, listed: manifest.Manifest, subsets: tuple[str, ...], *, content: bool = True
) -> None:
    """Compare each shard with the manifest; without `content` the quick part, which is done on every load:
    where it lies, its size, rows and columns. Raises `CorruptRelease`."""
    for file in listed.files:
        problem = difference(folder, file, content=content) if file.subset in subsets else None
        if problem:
            raise CorruptRelease(
                f"{folder / file.path} is not as released",
                found=problem.found,
                expected=problem.expected,
                hint=problem.hint,
            )
