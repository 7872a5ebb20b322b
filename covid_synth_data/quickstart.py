"""The whole path: the released images, then on phantoms train, release, verify, load, mix and benchmark.

Every step is a command or call that a user would run; training and releasing are the maintainers' side of
the project, which is in a checkout but not in the pip package, so they run as commands of their own.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covid_synth_data.errors import CorruptRelease, CovidSynthError, MissingCheckout
from covid_synth_data.files.atomic import write_text
from covid_synth_data.release import places

if TYPE_CHECKING:
    import datasets

SHOWN = 8
"""Films in each row of the sample sheet."""


@dataclass
class Step:
    """A step that was done: what it was, the command or call that does it, what came out, seconds."""

    title: str
    command: str
    outcome: str = ""
    seconds: float = 0.0


@dataclass
class Page:
    """What the page is rendered from."""

    steps: list[Step] = field(default_factory=list)
    sheets: list[tuple[str, list[str]]] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)


def run(out: Path, say: Callable[[str], None], progress: Callable[[str], Any]) -> Path:
    """Do all steps below `out`, going on where an earlier call stopped; returns the path of the page.

    `say` prints a line, `progress` gives a context manager with a function of (done, all, text), as
    `cli.progress_bar` does. Raises `MissingCheckout` outside a checkout, and the errors of the steps.
    """
    recipe = _recipe()
    page = Page()
    release = out / "covid-synth-cxr"

    def step(title: str, command: str, work: Callable[[], str]) -> None:
        say(f"\n{len(page.steps) + 1}. {title}\n   {command}")
        start = time.monotonic()
        outcome = work()
        page.steps.append(Step(title, command, outcome, time.monotonic() - start))
        say(f"   {outcome} ({page.steps[-1].seconds:.0f} s)")

    loaded: dict[str, datasets.Dataset] = {}
    if place := places.find("covid-synth-cxr", ("gnc", "gpc")):
        step(
            "Load the released images of this checkout, and save a sheet of them",
            'covid_synth_data.load_dataset("covid-synth-cxr")',
            lambda: _released(place.folder, loaded, out / "released.png"),
        )
    shown = f"generation/recipes/{recipe.name}"
    step(
        "Train a small CycleGAN, normal to COVID-19, on phantoms",
        f"python -m generation train {shown} --out {out / 'run'}",
        lambda: _generation("train", str(recipe), "--out", str(out / "run"), "--device", "cpu"),
    )
    step(
        "Release: translate the training patients' normal phantoms",
        f"python -m generation release {shown} --run {out / 'run'} --out {release}",
        lambda: _generation(
            "release", str(recipe), "--run", str(out / "run"), "--out", str(release), "--device", "cpu"
        ),
    )
    step("Verify every byte and count", f"covid-synth verify {release}", lambda: _verify(release))
    step(
        "Load it with the datasets library alone",
        f'datasets.load_dataset("{release}", "gnc", split="train")',
        lambda: _load(release, loaded),
    )
    step(
        "Mix with real phantoms to a skew of 1",
        "covid_synth_data.mix(real, synthetic, skew=1)",
        lambda: _mix(loaded),
    )
    step(
        "Benchmark real against mixed",
        f"covid-synth benchmark run quickstart --release {release} --out {out / 'results'}",
        lambda: _benchmark(release, out / "results", progress),
    )
    from covid_synth_data.benchmark import report
    from covid_synth_data.benchmark.reporting.tables import summarise

    say("\n" + report(out / "results"))
    page.rows = list(summarise(out / "results"))
    page.sheets = _sheets(loaded)
    path = out / "index.html"
    write_text(path, _render(page))
    say(f"page: {path}")
    return path


def _released(folder: Path, loaded: dict[str, datasets.Dataset], out: Path) -> str:
    """Load the release, keep a row of it for the page, and save a sheet as a PNG file."""
    import covid_synth_data as csd

    rows = csd.load_dataset("covid-synth-cxr")
    loaded["released"] = rows.select([len(rows) * place // SHOWN for place in range(SHOWN)])
    out.parent.mkdir(parents=True, exist_ok=True)
    _generation("sheet", str(folder), "gnc", "--out", str(out))
    return f"{len(rows):,} rows; the sheet is {out}"


def _recipe() -> Path:
    """The recipe in the checkout. Raises `MissingCheckout` where there is none."""
    spec = importlib.util.find_spec("generation")
    for folder in spec.submodule_search_locations or [] if spec else []:
        path = Path(folder) / "recipes" / "quickstart.toml"
        if path.is_file():
            return path
    raise MissingCheckout("covid-synth quickstart")


def _generation(*arguments: str) -> str:
    """Run a command of the maintainers' side; its progress bar shows through."""
    # Networks this small gain little from a second thread, and two threads that wait for each other on a
    # machine that is busy otherwise can take many times as long as one.
    done = subprocess.run(
        [sys.executable, "-m", "generation", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        # The command has printed its own one-line error.
        raise CovidSynthError(
            f"the step {arguments[0]!r} of the quickstart failed",
            found=f"exit code {done.returncode}",
            hint="correct the error above and run the same command again",
        )
    return done.stdout.strip().splitlines()[0]


def _verify(release: Path) -> str:
    from covid_synth_data.release.verification import verify

    report = verify(release)
    if not report.whole:
        raise CorruptRelease(f"{release} is not as released", found="; ".join(report.problems))
    return f"{report.files} files, {report.size / 1e6:.1f} MB, {report.rows['gnc']} rows: whole"


def _load(release: Path, loaded: dict[str, datasets.Dataset]) -> str:
    import datasets

    loaded["synthetic"] = datasets.load_dataset(str(release), "gnc", split="train")
    return f"{len(loaded['synthetic'])} rows, columns {', '.join(loaded['synthetic'].column_names)}"


def _mix(loaded: dict[str, datasets.Dataset]) -> str:
    import covid_synth_data as csd
    from covid_synth_data.benchmark.data import composition
    from covid_synth_data.benchmark.suite import load_classifiers

    suite = load_classifiers("quickstart")
    data = suite.data
    train = csd.load_task(suite.tasks[0], sources=data.sources, phantom=data.phantom)["train"]
    # The imbalance of the papers, as the suite makes it.
    loaded["all"] = train
    loaded["real"] = composition.limited(
        train,
        suite.positive,
        negatives=None,
        positives=data.max_positives,
        per_class=data.max_per_class,
        seed=data.split_seed,
    )
    loaded["mixed"] = csd.mix(loaded["real"], loaded["synthetic"], skew=1.0)
    before, after = csd.skew(loaded["real"]), csd.skew(loaded["mixed"])
    counts = len(loaded["real"]), len(loaded["mixed"])
    return f"{counts[0]} real rows of skew {before:.2f}; {counts[1]} mixed of skew {after:.2f}"


def _benchmark(release: Path, out: Path, progress: Callable[[str], Any]) -> str:
    from covid_synth_data import benchmark

    with progress("benchmark") as tick:
        files = benchmark.run("quickstart", release=release, out=out, device="cpu", progress=tick)
    return f"{len(files)} result files in {out}"


def _sheets(loaded: dict[str, datasets.Dataset]) -> list[tuple[str, list[str]]]:
    """Rows of films as data URLs: released ones, sources, their translations, and real COVID-19 phantoms."""
    import numpy as np

    synthetic, real = loaded["synthetic"].select(range(SHOWN)), loaded["all"]
    where = {name: row for row, name in enumerate(real["source_id"])}
    sources = real.select([where[name] for name in synthetic["source_id"]])
    code = real.features["label"].str2int("covid-19")
    covid = real.select(np.flatnonzero(np.asarray(real["label"]) == code)[:SHOWN])
    released = loaded.get("released")
    first = (
        [("Released images (covid-synth-cxr)", [_data_url(image) for image in released["image"]])]
        if released
        else []
    )
    return [
        *first,
        ("Normal phantoms (real, for this suite)", [_data_url(image) for image in sources["image"]]),
        (
            "The same films translated to COVID-19 (synthetic)",
            [_data_url(image) for image in synthetic["image"]],
        ),
        ("COVID-19 phantoms (real, for this suite)", [_data_url(image) for image in covid["image"]]),
    ]


def _data_url(image: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _render(page: Page) -> str:
    import jinja2

    from covid_synth_data._version import __version__

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("covid_synth_data", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("quickstart.html.jinja").render(page=page, version=__version__)
