"""The global-local generator of CT slices: a joint training step and inference, beside the plain ones.

    python benchmarks/performance/ct.py [--device auto] [--size 512] [--width 64] [--batch 4] [--rounds 5]
    python benchmarks/performance/ct.py --device cpu --size 64 --width 8 --batch 1 --rounds 2      (smoke)

The plain step is what one would write from the paper: eager fp32, no checkpointing, real features of the
discriminators computed once and the losses by hand. Ours is what the frame does in a step, in bf16 and
channels-last on CUDA (on a CPU the layout is left alone), with and without checkpointing. Both start from the
same weights, and in fp32 their first losses must be the same to rounding. Memory is the allocator's peak on
CUDA, and on any device the estimate of `footprint` (`--estimate`: of the paper's recipe too).
Inference is `LabelTranslator.translate` against a loop over single maps in fp32 without channels-last.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from footprint import peak_bytes
from generators import FrameLoop, finish, fresh_weights, gpu_peak, rounded, spread
from machine import alternate, ratio, write

from covid_synth_data.generators import build, trained, weights
from covid_synth_data.generators.label_maps import one_hot, reduce
from covid_synth_data.generators.noise import to_bytes
from generation.data.slices import TrainingSlices
from generation.families.label_maps.family import LabelRecipe
from generation.recipe import load_recipe

RECIPE = Path("generation/recipes/ct-global-local.toml")
PLAIN = "plain fp32"
OURS: dict[str, tuple[str, bool]] = {
    "ours fp32": ("32-true", False),
    "ours bf16": ("bf16-mixed", False),
    "ours bf16 checkpointed": ("bf16-mixed", True),
}


def recipe_of(asked: argparse.Namespace, precision: str, checkpointing: bool) -> LabelRecipe:
    """The paper's recipe at the asked size, in its joint stage from the first step."""
    loaded = load_recipe(RECIPE)
    content = loaded.model_dump()
    content["data"] |= {"size": asked.size, "augment": False}
    content["network"] |= {"width": asked.width, "discriminator_width": asked.width}
    content["training"] |= {"batch_size": asked.batch, "precision": precision}
    content["memory"] = {"checkpointing": checkpointing, "micro_batch": 0}
    content["stages"] = {"alone": [1e-9, 1e-9]}
    made: LabelRecipe = type(loaded).model_validate(content)
    return made


def slices_of(asked: argparse.Namespace) -> TrainingSlices:
    """Noise, and label maps of blocks: what they show makes no difference to the time."""
    random, count = np.random.default_rng(0), 2 * asked.batch
    blocks = random.integers(0, 4, (count, asked.size // 16, asked.size // 16), dtype=np.uint8)
    maps = np.kron(blocks, np.ones((16, 16), np.uint8))
    pixels = random.integers(0, 256, maps.shape, dtype=np.uint8)
    return TrainingSlices("covid-19", pixels, [], [], maps=maps, held_pixels=pixels[:1], held_maps=maps[:1])


class PlainStep:
    """Eager fp32: G, then D1 and D2, with Eq. 2 to 4 written out."""

    def __init__(self, asked: argparse.Namespace) -> None:
        same = FrameLoop(recipe_of(asked, "32-true", False), [slices_of(asked)], asked.device)
        self.net = same.trainee.networks
        for network in self.net.values():
            network.to(memory_format=torch.contiguous_format)
        owned = [*self.net["generator"].parameters(), *self.net["dfm"].parameters()]
        self.g = torch.optim.Adam(owned, 2e-4, (0.5, 0.999))
        self.d = torch.optim.Adam(self.net["discriminator"].parameters(), 2e-4, (0.5, 0.999))

    def judge(self, m: torch.Tensor, image: torch.Tensor) -> list[Any]:
        d1, d2 = self.net["discriminator"].scales
        full = torch.cat([m, image], 1)
        return [d1(full), d2(torch.cat([reduce(m, 1), F.avg_pool2d(image, 2)], 1))]

    def step(self, m: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
        fake, _ = self.net["generator"].weighed(m)
        with torch.no_grad():
            real = self.judge(m, x)
        scored = self.judge(m, fake)
        distances = torch.stack(
            [
                sum((a - b).abs().mean((1, 2, 3)) for a, b in zip(theirs[1], ours[1], strict=True))
                for theirs, ours in zip(real, scored, strict=True)
            ],
            1,
        )
        beta = self.net["dfm"](real[0][1][-1]).sigmoid()[:, 0]
        matching = (beta * distances[:, 1] + (1 - beta) * distances[:, 0]).mean()
        adversarial = sum(F.softplus(-scores).mean() for scores, _ in scored)
        self.g.zero_grad()
        (adversarial + 10 * matching).backward()
        self.g.step()
        self.d.zero_grad()
        pairs = zip(self.judge(m, x), self.judge(m, fake.detach()), strict=True)
        loss = sum(F.softplus(-r).mean() + F.softplus(f).mean() for (r, _), (f, _) in pairs)
        loss.backward()
        self.d.step()
        return {"adversarial": adversarial, "matching": matching, "discriminator": loss}


def training(asked: argparse.Namespace) -> dict[str, Any]:
    """TrainingSlices per second and peak memory of a joint step."""
    loops: dict[str, Any] = {PLAIN: PlainStep(asked)}
    peaks: dict[str, float] = {}
    batch = FrameLoop(recipe_of(asked, "32-true", False), [slices_of(asked)], asked.device).batch()
    first: dict[str, Any] = {}
    for key, how in OURS.items():
        loops[key] = FrameLoop(recipe_of(asked, *how), [slices_of(asked)], asked.device)
        loops[key].trainee.begin(999, 1000)
    for key, loop in loops.items():
        with gpu_peak(asked.device, key, peaks):
            first[key] = {name: float(value.detach()) for name, value in loop.step(*batch).items()}
            loop.step(*batch)
    differences = {name: abs(value - first["ours fp32"][name]) for name, value in first[PLAIN].items()}
    if any(found > 5e-2 * max(1, abs(first[PLAIN][name])) for name, found in differences.items()):
        raise RuntimeError(f"the steps differ: {first}")

    def timed(loop: Any) -> None:
        loop.step(*batch)
        finish(asked.device)

    times = alternate({key: lambda loop=loop: timed(loop) for key, loop in loops.items()}, asked.rounds)
    return {
        "slices_per_second": {key: spread(asked.batch, values) for key, values in times.items()},
        "over_plain": {key: ratio(times[PLAIN], times[key]) for key in OURS},
        "largest_difference_of_first_losses": max(differences.values()),
        **({"peak_gpu_mib": peaks} if peaks else {}),
    }


def inference(asked: argparse.Namespace) -> dict[str, Any]:
    """TrainingSlices per second of a loaded generator, and of a plain loop over its network."""
    maps = slices_of(asked).maps
    with tempfile.TemporaryDirectory() as folder:
        path = fresh_weights(recipe_of(asked, "32-true", False), Path(folder))
        ours = trained.load_file(path, asked.device)
        tensors, card = weights.read(path)
    plain = build(card.architecture, **card.options).eval().to(asked.device)
    plain.load_state_dict(tensors)

    def one_by_one() -> None:
        with torch.no_grad():
            for one in torch.from_numpy(maps):
                to_bytes(plain(one_hot(one[None]).to(asked.device))).cpu()

    runs = {PLAIN: one_by_one, "ours": lambda: ours.translate(maps, batch_size=asked.batch)}
    for run in runs.values():
        run()
    times = alternate(runs, asked.rounds)
    return {
        "slices_per_second": {key: spread(len(maps), values) for key, values in times.items()},
        "over_plain": ratio(times[PLAIN], times["ours"]),
    }


def estimates(asked: argparse.Namespace) -> dict[str, float]:
    """GiB at the peak of a joint bf16 step: the case measured here, and the paper's recipe as it stands."""
    found = {"this case": recipe_of(asked, "bf16-mixed", False)}
    found["this case, checkpointed"] = recipe_of(asked, "bf16-mixed", True)
    if asked.estimate:
        found["the recipe"] = load_recipe(RECIPE)
    return {name: peak_bytes(recipe) / 2**30 for name, recipe in found.items()}


def main() -> None:
    """Measure and write results/ct.json, or results/ct-cuda.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--estimate", action="store_true", help="of the paper's recipe too")
    parser.add_argument("--dry-run", action="store_true", help="print, keep nothing")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.device == "auto":
        asked.device = "cuda" if torch.cuda.is_available() else "cpu"
    command = f"python benchmarks/performance/ct.py --device {asked.device} --size {asked.size}"
    command += f" --width {asked.width} --batch {asked.batch} --rounds {asked.rounds}"
    content = rounded(
        {
            "command": command,
            "device": asked.device,
            "threads": asked.threads,
            "size": asked.size,
            "width": asked.width,
            "batch": asked.batch,
            "training": training(asked),
            "inference": inference(asked),
            "estimated_peak_gib": estimates(asked),
        }
    )
    if asked.device == "cuda":
        content["gpu"] = torch.cuda.get_device_name()
    if asked.dry_run:
        print(content)
    else:
        write("ct" if asked.device == "cpu" else "ct-cuda", content)


if __name__ == "__main__":
    main()
