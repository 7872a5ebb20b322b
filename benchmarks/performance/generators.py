"""Training and sampling of every family of generators, each beside a plain eager fp32 loop of its networks.

    python benchmarks/performance/generators.py [--families wgan,dcgan] [--schedules cpu,wide,paper]
        [--device auto] [--threads 2] [--rounds 5] [--seconds 2] [--limit 20] [--wgan-parquet]

Ours is what the frame does in a step: the batch, the seeding, `Family.step`; fp32 and bf16, channels-last as
the family has it, on a CUDA GPU also compiled. The plain loop is `plain.py`. Both start from the same
weights, and their first losses must be the same to rounding. Contenders take turns; a turn is as
many steps as take the plain loop `--seconds`. Sampling is `Sampler.sample` (`Translator.translate` for
CycleGAN) against the plain way, in batches of the same size. A case whose plain step takes longer than
`--limit` seconds is noted and left out. Memory is the peak of a process of its own on a CPU, that of the
allocator on CUDA.

`--wgan-parquet` times 1,000 images of the WGAN at full width, made and written as a release, on two threads.
Cases are kept one by one in results/generators.json; run again, a case replaces its earlier result.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import RESULTS, alternate, describe, peak_mib, ratio, seconds
from plain import PlainLoop, plain_network, sample, translate

from covid_synth_data.generators import build, noise, trained, weights
from generation.data.films import TrainingImages
from generation.recipe import PairData, Recipe, family, load_recipe
from generation.training import loop as trainer
from generation.training.family import Family

FULL: dict[str, dict[str, Any]] = {
    "cyclegan-nc": {},
    "mtt-gan": {"batch_size": 4},
    "wgan": {"batch_size": 8},
    "dcgan": {"batch_size": 32},
    "acgan": {"batch_size": 16},
    "iagan": {"batch_size": 8},
    "diffaug-gan": {"batch_size": 12},
}
"""The recipe of each family's full width, and what a CPU changes in it for a step of seconds."""
FULL_WIDTH = {
    "diffaug-gan": ("diffaug-gan-cpu", {"width": 64, "discriminator_width": 64}),
    "cyclegan-nc": ("cyclegan-nc-cpu", {}),
}
"""Families whose recipe of full width is another: no such recipe, or (CycleGAN) one whose order of updates
the plain loop does not have. The recipe taken instead, and its networks."""
SCHEDULES = {
    "cpu": "the recipe for a CPU, narrow (CycleGAN: full width, small batches)",
    "wide": "networks and losses of the full recipe, small batches",
    "paper": "the full recipe",
}
OURS = {
    "ours fp32": {"precision": "32-true", "compile": False},
    "ours bf16": {"precision": "bf16-mixed", "compile": False},
    "ours bf16 compiled": {"precision": "bf16-mixed", "compile": True},
}
PLAIN = "plain fp32"


def recipe_of(name: str, schedule: str, **training: Any) -> Recipe:
    """The recipe of a case, with a training table changed."""
    file, network = FULL_WIDTH.get(name, (name, {})) if schedule != "cpu" else (f"{name}-cpu", {})
    loaded = load_recipe(Path("generation/recipes") / f"{file}.toml")
    content = loaded.model_dump()
    content["network"].update(network)
    content["training"].update(training if schedule != "wide" else {**FULL[name], **training})
    return type(loaded).model_validate(content)


def films_of(recipe: Recipe, count: int) -> list[TrainingImages]:
    """`count` films of noise for each class: what they show makes no difference to the time."""
    data = recipe.data
    labels = [data.source_class, data.target_class] if isinstance(data, PairData) else data.classes
    random = np.random.default_rng(0)
    return [
        TrainingImages(label, random.integers(0, 256, (count, data.size, data.size), dtype=np.uint8), [], [])
        for label in labels
    ]


class FrameLoop:
    """A step as the loop of `generation.training.loop` does it."""

    def __init__(self, recipe: Recipe, films: list[TrainingImages], device: str) -> None:
        self.recipe, self.fabric, self.now = recipe, trainer.make_fabric(recipe, device), 0
        self.trainee: Family = family(recipe.family)(recipe, self.fabric)
        if recipe.training.compile and device == "cuda":
            self.trainee.compile()
        self.batches = self.trainee.batches(films)

    def batch(self) -> tuple[torch.Tensor, ...]:
        return self.batches.batch(self.now)

    def step(self, *batch: torch.Tensor) -> Any:
        self.trainee.now = self.now
        with trainer._seeded(self.recipe.seed, self.now, self.fabric):
            losses = self.trainee.step(*batch)
        self.now += 1
        return losses


def loop_of(contender: str, name: str, schedule: str, device: str, films: int) -> PlainLoop | FrameLoop:
    """The training of a contender, before its first step."""
    recipe = recipe_of(name, schedule, **OURS.get(contender, {}))
    kind = PlainLoop if contender == PLAIN else FrameLoop
    return kind(recipe, films_of(recipe, films), device)


def finish(device: str) -> None:
    """Wait for what a GPU still has to do."""
    if device == "cuda":
        torch.cuda.synchronize()


def first_losses(name: str, schedule: str, device: str) -> float:
    """The largest difference between the losses of both first steps, on the same films and noise.

    In fp32 and without dropout. Raises `RuntimeError` where it is more than rounding: then the loops would
    not do the same work.
    """
    loops = {key: loop_of(key, name, schedule, device, 8) for key in (PLAIN, "ours fp32")}
    batch = loops["ours fp32"].batch()
    found = {}
    for key, loop in loops.items():
        networks = loop.net if isinstance(loop, PlainLoop) else loop.trainee.networks
        for network in networks.values():
            for layer in network.modules():
                if isinstance(layer, torch.nn.Dropout):
                    layer.p = 0.0
        seeding = loops["ours fp32"]
        with trainer._seeded(0, 0, seeding.fabric):
            losses = loop.step(*batch) if loop is not seeding else loop.trainee.step(*batch)
        found[key] = {term: float(value.detach()) for term, value in losses.items()}
    differences = {term: abs(value - found["ours fp32"][term]) for term, value in found[PLAIN].items()}
    # CUDA convolves in TF32, differently for each memory layout; RMSprop's first steps amplify rounding.
    allowed = {term: (5e-3 if device == "cpu" else 5e-2) * max(1, abs(v)) for term, v in found[PLAIN].items()}
    if any(difference > allowed[term] for term, difference in differences.items()):
        raise RuntimeError(f"the loops of {name} {schedule} differ in their first step: {found}")
    return max(differences.values())


def training(name: str, schedule: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Steps of every contender in turn; {"skipped": why} beyond the limit."""
    device = asked.device
    contenders = [PLAIN, *(key for key in OURS if device == "cuda" or "compiled" not in key)]
    loops: dict[str, PlainLoop | FrameLoop] = {}
    warm: dict[str, float] = {}
    peaks: dict[str, float] = {}

    def steps(loop: PlainLoop | FrameLoop, count: int) -> None:
        for _ in range(count):
            loop.step(*loop.batch())
        finish(device)

    for key in contenders:
        with gpu_peak(device, key, peaks):
            loops[key] = loop_of(key, name, schedule, device, asked.films)
            # On CUDA the first steps choose kernels and compile; a penalised step and another are both seen.
            for _ in range(3 if device == "cuda" else 1):
                warm[key] = seconds(lambda key=key: steps(loops[key], 1))
        if key == PLAIN and warm[key] > asked.limit:
            return {"skipped": f"a plain step takes {warm[key]:.0f} s"}
    every = getattr(getattr(loops[PLAIN].recipe, "losses", None), "penalty_every", 1)
    count = every * max(1, round(asked.seconds / warm[PLAIN] / every))
    times = alternate({k: lambda loop=loop: steps(loop, count) for k, loop in loops.items()}, asked.rounds)
    films = loops[PLAIN].count * count
    return {
        "first_losses_differ_by": first_losses(name, schedule, device),
        "films_per_step": loops[PLAIN].count,
        "steps_per_round": count,
        "channels_last": device == "cuda" or loops["ours fp32"].trainee.channels_last,
        "films_per_second": {key: spread(films, values) for key, values in times.items()},
        "over_plain": {key: ratio(times[PLAIN], times[key]) for key in times if key != PLAIN},
        **({"peak_gpu_mib": peaks} if peaks else {}),
    }


def sampling(name: str, schedule: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Images of the same weights, ours and plain."""
    runs, peaks = {}, {}
    for key in (PLAIN, "ours"):
        with gpu_peak(asked.device, key, peaks):
            runs[key] = sampler_of(key, name, schedule, asked.device)
            runs[key](2 * noise.BLOCK)
            warm = seconds(lambda key=key: runs[key](noise.BLOCK))
        if key == PLAIN:
            plain = warm
    count = noise.BLOCK * max(1, round(asked.seconds / plain))
    times = alternate({key: lambda run=run: run(count) for key, run in runs.items()}, asked.rounds)
    return {
        "images_per_round": count,
        "images_per_second": {key: spread(count, values) for key, values in times.items()},
        "over_plain": ratio(times[PLAIN], times["ours"]),
        **({"peak_gpu_mib": peaks} if peaks else {}),
    }


def sampler_of(contender: str, name: str, schedule: str, device: str) -> Callable[[int], np.ndarray]:
    """A function that makes that many images, from fresh weights in a file or the plain way."""
    recipe = recipe_of(name, schedule)
    size = recipe.data.size
    films = np.random.default_rng(0).integers(0, 256, (4 * noise.BLOCK, size, size), dtype=np.uint8)

    def cycled(count: int) -> np.ndarray:
        return films[np.arange(count) % len(films)]

    with tempfile.TemporaryDirectory() as folder:
        path = fresh_weights(recipe, Path(folder))
        if contender == "ours":
            ours = trained.load_file(path, device)
            return ours.sample if "cyclegan" not in name else lambda n: ours.translate(cycled(n), noise.BLOCK)
        tensors, card = weights.read(path)
    network = build(card.architecture, **card.options).eval()
    network.load_state_dict(tensors)
    network = plain_network(network).to(device)
    if "cyclegan" in name:
        return lambda n: translate(network, cycled(n), noise.BLOCK, device)
    return lambda n: sample(network, n, noise.BLOCK, device)


def fresh_weights(recipe: Recipe, folder: Path) -> Path:
    """The recipe's generator, untrained, as a weights file."""
    trainee: Family = family(recipe.family)(recipe, trainer.make_fabric(recipe, "cpu"))
    tag = {"name": f"{recipe.network.generator}.fresh", "licences": ["CC0-1.0"], "training": {}}
    path = folder / "fresh.safetensors"
    about = {**trainee.describe(), **tag, "package_version": "0"}
    weights.save(path, trainee.inference_network().state_dict(), about)
    return path


class gpu_peak:  # noqa: N801 - reads as a statement
    """Within it the GPU's peak is taken, less what was in use before."""

    def __init__(self, device: str, key: str, peaks: dict[str, float]) -> None:
        self.on, self.key, self.peaks = device == "cuda", key, peaks

    def __enter__(self) -> None:
        if self.on:
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()

    def __exit__(self, *_: object) -> None:
        if self.on:
            self.peaks[self.key] = round((torch.cuda.max_memory_allocated() - self.before) / 2**20, 1)


def spread(count: int, times: list[float]) -> dict[str, float]:
    """Images per second: median, least, most over the rounds."""
    return {
        "median": count / statistics.median(times),
        "least": count / max(times),
        "most": count / min(times),
    }


def peak_alone(what: str, contender: str, name: str, schedule: str, asked: argparse.Namespace) -> float:
    """Peak resident MiB of a process that does nothing but two steps, or two blocks of samples."""
    command = [sys.executable, __file__, "--peak-of", what, contender, name, schedule]
    command += ["--threads", str(asked.threads), "--films", str(asked.films), "--device", "cpu"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return round(float(done.stdout.split()[-1]), 1)


def be_alone(what: str, contender: str, name: str, schedule: str, films: int) -> None:
    """The work of that process."""
    if what == "sampling":
        sampler_of(contender, name, schedule, "cpu")(2 * noise.BLOCK)
    else:
        loop = loop_of(contender, name, schedule, "cpu", films)
        for _ in range(2):
            loop.step(*loop.batch())
    print(peak_mib())


def measure(name: str, schedule: str, asked: argparse.Namespace) -> dict[str, Any]:
    """One case."""
    recipe = recipe_of(name, schedule)
    case: dict[str, Any] = {
        "schedule": SCHEDULES[schedule],
        "recipe": recipe.name,
        "size": recipe.data.size,
        "network": recipe.network.model_dump(),
        "recipe_precision": recipe.training.precision,
        "training": training(name, schedule, asked),
        "sampling": sampling(name, schedule, asked),
    }
    if asked.device == "cpu" and asked.memory and "skipped" not in case["training"]:
        for what, ours in (("training", ("ours fp32", "ours bf16")), ("sampling", ("ours",))):
            case[what]["peak_resident_mib"] = {
                key: peak_alone(what, key, name, schedule, asked) for key in (PLAIN, *ours)
            }
    return case


def wgan_parquet(count: int) -> dict[str, Any]:
    """`count` images of the full-width WGAN as a release folder, on two threads."""
    from covid_synth_data.generators.sampling import write_release

    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as name:
        path = fresh_weights(recipe_of("wgan", "wide"), Path(name))
        start = time.perf_counter()
        sampler = trained.load_file(path, "cpu")
        write_release(sampler, path, count, 0, None, Path(name) / "release", lambda done, total: None)
        wall = time.perf_counter() - start
        size = sum(file.stat().st_size for file in (Path(name) / "release").rglob("*.parquet"))
    return {
        "images": count,
        "threads": 2,
        "seconds": round(wall, 1),
        "parquet_mib": round(size / 2**20, 1),
        "peak_resident_mib": peak_mib(),
    }


def keep(section: str, entry: str, content: dict[str, Any], asked: argparse.Namespace) -> None:
    """Put one result into results/generators.json beside those that are there."""
    path = RESULTS / "generators.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    about = {
        "machine": describe(),
        "threads": torch.get_num_threads(),
        "rounds": asked.rounds,
        "command": "python benchmarks/performance/generators.py " + " ".join(sys.argv[1:]),
    }
    if section == "cuda":
        about["gpu"] = torch.cuda.get_device_name()
    known.setdefault(section, {})[entry] = rounded({**content, **about})
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    print(section, entry, json.dumps(known[section][entry], indent=1), flush=True)


def rounded(value: Any) -> Any:
    """Numbers to four significant digits, in whatever they are."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main() -> None:
    """Measure and write results/generators.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", default=",".join(FULL))
    parser.add_argument("--schedules", default="")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--limit", type=float, default=20.0)
    parser.add_argument("--films", type=int, default=1000, help="in memory, of each class")
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--wgan-parquet", action="store_true")
    parser.add_argument("--images", type=int, default=1000, help="of --wgan-parquet")
    parser.add_argument("--peak-of", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.device == "auto":
        asked.device = "cuda" if torch.cuda.is_available() else "cpu"
    if asked.peak_of:
        be_alone(*asked.peak_of, films=asked.films)
        return
    schedules = asked.schedules or ("paper" if asked.device == "cuda" else "cpu,wide")
    for name in filter(None, asked.families.split(",")):
        for schedule in schedules.split(","):
            if schedule == "wide" and not FULL[name]:  # its recipe for a CPU has the full width already
                continue
            keep(asked.device, f"{name} {schedule}", measure(name, schedule, asked), asked)
    if asked.wgan_parquet:
        keep("wgan_parquet", "cpu", wgan_parquet(asked.images), asked)


if __name__ == "__main__":
    main()
