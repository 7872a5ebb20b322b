"""The commands of the benchmark that look into classifiers and images: saliency, probe, lesions, map."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covid_synth_data.cli.benchmark import (
    HalfSamples,
    Preprocessing,
    Regimes,
    Seeds,
    Suite,
    app,
    checked_preprocessing,
)
from covid_synth_data.cli.common import AsJson, Release, Root, Seed, need, progress_bar, say, table

if TYPE_CHECKING:
    from covid_synth_data.benchmark.explain.retraining import RetrainingRequest

__all__ = ["app"]

Task = Annotated[str | None, typer.Option(help="a task of the suite")]
Model = Annotated[str | None, typer.Option(help="the classifier; else the first of the suite")]
ResultFile = Annotated[Path, typer.Option("-o", "--out", help="the result file, a JSON")]

Command = Callable[..., None]


@app.command("saliency")
def draw_saliency(
    suite: Suite,
    regime: Annotated[str, typer.Option(help="what the classifier is trained on")],
    out: Annotated[Path, typer.Option("-o", "--out", help="the picture, a PNG")],
    model: Model = None,
    task: Task = None,
    seed: Seed = 0,
    films: Annotated[int, typer.Option(min=2, max=48, help="how many films")] = 12,
    of: Annotated[str, typer.Option(help="test, or a synthetic config of the regime")] = "test",
    root: Root = None,
    release: Release = None,
    preprocessing: Preprocessing = None,
    device: str = "auto",
) -> None:
    """Where a classifier looks: Grad-CAM over films. A picture of real films is for your own eyes alone."""
    need("figures", "torch", "captum", "matplotlib")
    from covid_synth_data.benchmark.explain.retraining import request_retraining
    from covid_synth_data.benchmark.explain.saliency import saliency

    asked = request_retraining(
        suite,
        out,
        regimes=[regime],
        model=model,
        task=task,
        seeds=[seed],
        films=films,
        root=root,
        release=release,
        preprocessing=checked_preprocessing(preprocessing),
        device=device,
    )
    with progress_bar("saliency") as tick:
        shown = saliency(asked, of=of, progress=tick)
    say(f"{len(shown)} films in {out}")


def _request(
    suite: Suite,
    out: ResultFile,
    regime: Regimes = None,
    model: Model = None,
    task: Task = None,
    seeds: Seeds = None,
    half_samples: HalfSamples = False,
    films: int | None = None,
    root: Root = None,
    release: Release = None,
    preprocessing: Preprocessing = None,
    limit: Annotated[int | None, typer.Option(min=1, help="at most this many real negatives")] = None,
    device: str = "auto",
) -> Any:
    """The `RetrainingRequest` of these options."""
    need("benchmark", "torch", "torchvision", "sklearn")
    from covid_synth_data.benchmark.explain.retraining import request_retraining

    return request_retraining(
        suite,
        out,
        regimes=regime,
        model=model,
        task=task,
        seeds=seeds,
        half_samples=half_samples,
        films=films,
        root=root,
        release=release,
        preprocessing=checked_preprocessing(preprocessing),
        limit=limit,
        device=device,
    )


def _retrains(films: str, without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Give a command the options of `_request` and `--json`, `without` some; `films` helps with `--films`.

    The command is called with the request and with whether `--json` was given.
    """
    changed = {"films": Annotated[int | None, typer.Option(min=5, help=films)]}

    def decorate(command: Command) -> Command:
        def run(as_json: bool, **given: Any) -> None:
            command(_request(**given), as_json)

        options = [
            option.replace(annotation=changed.get(name, option.annotation))
            for name, option in inspect.signature(_request, eval_str=True).parameters.items()
            if name not in without
        ]
        options.append(
            Parameter("as_json", Parameter.POSITIONAL_OR_KEYWORD, default=False, annotation=AsJson)
        )
        # Typer reads the options of a command from these.
        run.__signature__ = Signature(options)  # type: ignore[attr-defined]
        run.__annotations__ = {option.name: option.annotation for option in options}
        run.__doc__ = command.__doc__
        return run

    return decorate


@app.command("probe")
@_retrains(films="at most so many films of each class of validation and test")
def probe_shortcuts(asked: RetrainingRequest, as_json: bool) -> None:
    """Does a classifier rely on a shortcut? AUC on films of which borders, tone or the like alone is left."""
    from covid_synth_data.benchmark.explain.probe import probe

    with progress_bar("probe") as tick:
        probed = probe(asked, tick)
    if as_json:
        say(probed.model_dump_json(indent=1))
        return
    for part, shown in probed.films.items():
        rows = [
            [
                change.left,
                *(f"{probed.row(part, change.name, name).auc.value:.3f}" for name in probed.regimes),
            ]
            for change in probed.changes
        ]
        title = f"AUC on the {part} films, {shown.positives:,} positive and {shown.negatives:,} negative"
        table(title, ["what is left", *probed.regimes], rows)
    say(f"intervals and differences from {', '.join(probed.baselines) or 'no baseline'} in {asked.path}")


@app.command("lesions")
@_retrains(films="at most so many films with masks", without=("preprocessing", "limit"))
def look_at_lesions(asked: RetrainingRequest, as_json: bool) -> None:
    """Does a classifier look at the lesions? Its activation against the infection masks of COVID-QU-Ex."""
    from covid_synth_data.benchmark.explain.lesions import look
    from covid_synth_data.benchmark.results.lesions import MEASURES, YARDSTICKS

    with progress_bar("lesions") as tick:
        result = look(asked, tick)
    if as_json:
        say(result.model_dump_json(indent=1))
        return
    rows = [
        [name, *(f"{result.row(measure, name).value.value:.3f}" for measure in MEASURES)]
        for name in (*YARDSTICKS, *result.regimes)
    ]
    table(f"{result.films.films:,} films with infection masks", ["map of", *MEASURES], rows)
    say(f"intervals and differences in {asked.path}")


@app.command("map")
def draw_map(
    suite: Suite,
    config: Annotated[list[str], typer.Option(help="a synthetic config of the suite; again for more")],
    out: Annotated[Path, typer.Option("-o", "--out", help="the picture, a PNG; a JSON is written beside it")],
    task: Task = None,
    films: Annotated[int, typer.Option(min=5, help="at most so many of each kind")] = 400,
    seed: Seed = 0,
    root: Root = None,
    release: Release = None,
    preprocessing: Preprocessing = None,
    device: str = "auto",
) -> None:
    """Real and synthetic films in the plane: UMAP of fixed features, and how far they keep to themselves."""
    need("figures", "torch", "umap", "matplotlib")
    from covid_synth_data.benchmark.explain.feature_map import feature_map

    with progress_bar("map") as tick:
        map_of_features = feature_map(
            suite,
            out,
            configs=config,
            task=task,
            films=films,
            seed=seed,
            root=root,
            release=release,
            preprocessing=checked_preprocessing(preprocessing),
            device=device,
            progress=tick,
        )
    for kind, shares in map_of_features["neighbours"].items():
        share, chance = shares["share"], shares["chance"]
        say(f"{kind}: {share:.2f} of the nearest neighbours are of that kind, by chance {chance:.2f}")
    say(f"drawn in {out}")
