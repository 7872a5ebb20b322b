"""Training steps of CycleGAN against a plain PyTorch loop of the same networks, losses and batches.

    python benchmarks/performance/training.py [--size 128] [--batch 4] [--steps 6] [--rounds 5]

The plain loop is what one would write from the paper: `nn.Upsample` and a 4x4 convolution, an eager fp32
step, films converted on the way in. Ours is `generation.training.loop.train`, checkpoints and logging
included,
in the same precision; the second table line is ours with the bf16 that the CPU recipes ask for. Prints
images per second and their ratio, and the resident memory after each epoch of a longer run.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

import numpy as np
import torch
from machine import ratio, resident_mib, seconds, write
from torch import nn

from covid_synth_data.generators.cyclegan import PatchCritic, UNetGenerator, UpConv
from generation.data.films import TrainingImages
from generation.recipe import load_recipe
from generation.training import loop


class PlainUpConv(nn.Module):
    """`UpConv` as plain layers."""

    def __init__(self, same: UpConv) -> None:
        super().__init__()
        outputs, inputs = same.weight.shape[:2]
        self.up = nn.Upsample(scale_factor=2)
        self.pad = nn.ZeroPad2d((1, 2, 1, 2))
        self.conv = nn.Conv2d(inputs, outputs, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.pad(self.up(x)))


def plain_generator(width: int) -> nn.Module:
    """The U-Net with each `UpConv` replaced by its layers."""
    network = UNetGenerator(width)
    for stage in (network.up1, network.up2, network.up3):
        stage[0] = PlainUpConv(stage[0])
    network.last = PlainUpConv(network.last)
    return network


class PlainLoop:
    """The textbook step: generators, then critics, eager and fp32."""

    def __init__(self, size: int, batch: int, films: tuple[np.ndarray, np.ndarray]) -> None:
        self.batch, self.films = batch, films
        self.ga, self.gb = plain_generator(32), plain_generator(32)
        self.da, self.db = PatchCritic(64), PatchCritic(64)
        self.og = torch.optim.Adam(
            itertools.chain(self.ga.parameters(), self.gb.parameters()), 2e-4, (0.5, 0.999)
        )
        self.od = torch.optim.Adam(
            itertools.chain(self.da.parameters(), self.db.parameters()), 2e-4, (0.5, 0.999)
        )
        self.l1, self.mse = nn.L1Loss(), nn.MSELoss()

    def critic(self, network: nn.Module, x: torch.Tensor, target: float) -> torch.Tensor:
        score = network(x)
        return self.mse(score, torch.full_like(score, target))

    def epoch(self, epochs: int) -> None:
        for _ in range(epochs):
            for i in range(0, len(self.films[0]), self.batch):
                a, b = (
                    torch.from_numpy(f[i : i + self.batch]).unsqueeze(1).float() / 127.5 - 1
                    for f in self.films
                )
                self.step(a, b)

    def step(self, a: torch.Tensor, b: torch.Tensor) -> None:
        fake_b, fake_a = self.ga(a), self.gb(b)
        for p in itertools.chain(self.da.parameters(), self.db.parameters()):
            p.requires_grad_(False)
        loss = self.critic(self.db, fake_b, 1) + self.critic(self.da, fake_a, 1)
        loss = loss + 10 * (self.l1(self.gb(fake_b), a) + self.l1(self.ga(fake_a), b))
        loss = loss + self.l1(self.gb(a), a) + self.l1(self.ga(b), b)
        self.og.zero_grad()
        loss.backward()
        self.og.step()
        for p in itertools.chain(self.da.parameters(), self.db.parameters()):
            p.requires_grad_(True)
        loss = self.critic(self.da, a, 1) + self.critic(self.da, fake_a.detach(), 0)
        loss = (loss + self.critic(self.db, b, 1) + self.critic(self.db, fake_b.detach(), 0)) / 2
        self.od.zero_grad()
        loss.backward()
        self.od.step()


def main() -> None:
    """Measure and write results/training.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-epochs", type=int, default=12)
    asked = parser.parse_args()
    # Films of noise and a recipe of the sizes that were asked for.
    count = asked.batch * asked.steps
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 256, (count, asked.size, asked.size), dtype=np.uint8) for _ in range(2)]
    films = tuple(
        TrainingImages(label, p, [f"{label}/{i}" for i in range(count)], ["CC0"] * count)
        for label, p in zip(("normal", "covid-19"), pixels, strict=True)
    )
    loaded = load_recipe(Path("generation/recipes/cyclegan-nc-cpu.toml"))

    def recipe(epochs: int, precision: str) -> object:
        content = loaded.model_dump()
        content["data"]["size"] = asked.size
        content["training"].update(epochs=epochs, batch_size=asked.batch, precision=precision)
        return type(loaded).model_validate(content)

    def ours(precision: str, epochs: int = 1, tick: object = lambda *_: None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            made = recipe(epochs, precision)
            loop.train(made, films, Path(folder), loop.make_fabric(made), tick)

    # One epoch of each loop to warm up, then rounds that alternate.
    plain = PlainLoop(asked.size, asked.batch, tuple(pixels))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    plain.epoch(1)
    ours("32-true")
    ours("bf16-mixed")
    times: dict[str, list[float]] = {"plain fp32": [], "ours fp32": [], "ours bf16": []}
    for _ in range(asked.rounds):
        times["plain fp32"].append(seconds(lambda: plain.epoch(1)))
        times["ours fp32"].append(seconds(lambda: ours("32-true")))
        times["ours bf16"].append(seconds(lambda: ours("bf16-mixed")))
    # Memory over many epochs of one run.
    memory: list[float] = []

    def watch(step: int, total: int, text: str) -> None:
        if step % asked.steps == 0:
            memory.append(round(resident_mib(), 1))

    ours("bf16-mixed", asked.memory_epochs, watch)
    write(
        "training",
        {
            "command": f"python benchmarks/performance/training.py --size {asked.size} --batch {asked.batch}"
            f" --steps {asked.steps} --rounds {asked.rounds} --memory-epochs {asked.memory_epochs}",
            "device": device,
            "threads": torch.get_num_threads(),
            "size": asked.size,
            "batch": asked.batch,
            "pairs_per_second": {k: count / min(v) for k, v in times.items()},
            "ours_fp32_over_plain_fp32": ratio(times["plain fp32"], times["ours fp32"]),
            "ours_bf16_over_plain_fp32": ratio(times["plain fp32"], times["ours bf16"]),
            "resident_mib_after_each_epoch": memory,
            "growth_mib_from_epoch_3": round(memory[-1] - memory[2], 1),
        },
    )


if __name__ == "__main__":
    main()
