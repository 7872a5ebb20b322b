"""An audit from its arguments to its files."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from covid_synth_data import cluster, machine
from covid_synth_data.audit import material as gathering
from covid_synth_data.audit import page, result, sections
from covid_synth_data.audit.contract import Context, Material, Section, need
from covid_synth_data.audit.descriptors import Descriptors, FeatureExtractor
from covid_synth_data.audit.films import FilmSet
from covid_synth_data.audit.result import Audit
from covid_synth_data.errors import ConfigError
from covid_synth_data.metrics import approximate

Progress = Callable[[int, int, str], None]

LIBRARIES: Final = ("numpy", "scipy", "scikit-learn", "torch", "timm", "pillow", "torchmetrics", "faiss-cpu")


@dataclass(frozen=True)
class Written:
    """The files of an audit; `local` is the page with real films where one was asked for."""

    result: Path
    page: Path
    local: Path | None


def run(
    config: str,
    root: str | Path | None = None,
    *,
    release: str | Path | None = None,
    version: str | None = None,
    label: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    only: Sequence[str] | None = None,
    extractor: FeatureExtractor | str = "efficientnet-lite0",
    device: str = "auto",
    out: str | Path = "audit",
    local: str | Path | None = None,
    progress: Progress | None = None,
    ray: str | None = None,
    search: str = approximate.EXACT,
) -> tuple[Audit, Written]:
    """Audit a config of a release, or a folder of images; write CONFIG.json and CONFIG.html into `out`.

    `root` holds the real sets; `release` and `version` are those of `load_dataset`. `only` names sections.
    `local` is a second page that shows real films beside the images: it is refused within a repository.
    `ray` is the address of a Ray cluster that computes the descriptors of films, or "local"; every node finds
    root and release at the same path. `search` is "exact" or "approximate": how neighbours and films that
    look alike are looked for. An approximate search is meant for very many and may miss some; every
    protocol says so.
    Raises `MetricError` for too few images, `MissingSource` without real films, `UnknownName`,
    `MissingExtra`, `ClusterError`.
    """
    approximate.wanted(search)
    started = time.monotonic()
    if local is not None:
        _refuse_repository(Path(local))
    chosen = sections.load(only)
    films = gathering.gather(config, root, release, version, label, limit, seed, search)
    need(films.synthetic)
    with cluster.spread(ray) as over:
        network = _extractor(extractor, device)
        audit = measure(films, chosen, network, limit, seed, progress, started, over, search)
    folder = Path(out)
    name = films.subject.config
    written = Written(folder / f"{name}.json", folder / f"{name}.html", Path(local) if local else None)
    result.write(written.result, audit)
    page.write(written.page, audit, films)
    if written.local is not None:
        page.write(written.local, audit, films, real=True)
    return audit, written


def measure(
    films: Material,
    chosen: Sequence[Section],
    extractor: FeatureExtractor,
    limit: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    started: float | None = None,
    over: cluster.Spread | None = None,
    search: str = approximate.EXACT,
) -> Audit:
    """The sections of an audit of these films. `started` is on the clock of `time.monotonic`; `over` computes
    the descriptors (None: this process); `search` is that of `run`, by which the films were gathered too."""
    import torch

    started = time.monotonic() if started is None else started
    context = Context(films, Descriptors(extractor, progress, over=over), seed, search)
    answers = [section.run(context) for section in chosen]
    device = getattr(extractor, "device", torch.device("cpu"))
    return Audit(
        format=1,
        kind="audit",
        subject=films.subject,
        seed=seed,
        limit=limit,
        search=context.settings,
        films={name: _summary(film_set) for name, film_set in films.sets.items()},
        sections=answers,
        code=machine.code(LIBRARIES),
        hardware=machine.hardware(device),
        seconds=time.monotonic() - started,
    )


def _summary(films: FilmSet) -> result.FilmCounts:
    return result.FilmCounts(
        films=len(films),
        groups=len(set(films.groups)),
        datasets=dict(sorted(Counter(films.datasets).items())),
        what=films.what,
    )


def _extractor(named: FeatureExtractor | str, device: str) -> FeatureExtractor:
    if not isinstance(named, str):
        return named
    from covid_synth_data.classifiers.extractor import Extractor

    return Extractor(device, network=named)


def _refuse_repository(path: Path) -> None:
    """Real films under other people's licences must not slip into a commit."""
    for folder in path.absolute().resolve().parents:
        if (folder / ".git").exists():
            raise ConfigError(
                "a page with real films does not belong in a repository",
                found=f"{path} in {folder}",
                expected="a path outside of every repository",
                hint="choose another --local",
            )
