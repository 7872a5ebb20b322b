"""Training of the network that finds the lungs (`covid_synth_data.preprocessing.lungs`).

    python -m generation.lungs.train generation/lungs/lung-fields.toml --root DIR --out runs/lung-fields

Each batch is drawn from (seed, step), so the same command goes on after a stop and ends at the same weights.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import torch
import typer
from PIL import Image
from pydantic import Field
from safetensors.torch import save as serialised
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from covid_synth_data import __version__
from covid_synth_data.cli.common import Root, guarded, progress_bar, say
from covid_synth_data.errors import ConfigError, DivergedError
from covid_synth_data.files.atomic import replacing, write_text
from covid_synth_data.files.models import FrozenModel, read_toml
from covid_synth_data.files.pixels import Grey
from covid_synth_data.preprocessing import harmonise, lung_shapes, lung_weights, lungs
from covid_synth_data.preprocessing.harmonise import COMMON_SIDE, Film
from generation.lungs import outlines
from generation.lungs import scores as lung_scores
from generation.training import checkpoint

Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]

Picture = npt.NDArray[Any]

ARCHITECTURE: Final = "lung-unet"
CHECKPOINT_SECONDS: Final = 60


class Distortion(FrozenModel):
    """Augmentation of the training films."""

    scale: Share = 0.25
    """Zoom per axis, from 1 - this to 1 + this."""
    shift: Share = 0.12
    angle: Annotated[float, Field(ge=0, le=45)] = 12.0
    clouds: Natural = 3
    """At most this many soft bright clouds, as opacities that hide a lung."""
    cloud: Share = 0.6
    """Their highest density, as a share of the way to white."""
    light: Share = 0.35
    """Slope of a gradient of brightness across the film."""
    bars: Share = 0.3
    """Probability of a plain black, white or grey bar along an edge, or a block like a marker."""


class LungRecipe(FrozenModel):
    """The recipe: everything that determines the weights."""

    name: str
    seed: Natural = 0
    validation: Share = 0.15
    test: Share = 0.2
    phantoms: Natural = 240
    phantom_share: Share = 0.25
    steps: Positive
    batch_size: Positive = 16
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    average: Share = 0.99
    """Decay of the moving average of the weights, which is what is kept."""
    looks: Positive = 10
    """How many times the validation films are measured."""
    distortion: Distortion = Distortion()

    def digest(self) -> str:
        """sha256 of the recipe."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()


def example(film: Grey, mask: Grey, rng: np.random.Generator, change: Distortion) -> tuple[Film, Grey]:
    """One distorted film as the network sees it, float32 (side, side) in [0, 255], and its mask."""
    matrix = _affine(film.shape[0], rng, change)
    size = (COMMON_SIDE, COMMON_SIDE)
    moved = Image.fromarray(film).transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    fields = Image.fromarray(mask).transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)
    picture: Picture = np.asarray(moved, np.float32) / 255
    if rng.random() < 0.5:
        picture = 1 - (1 - picture) ** rng.uniform(0.5, 2.0)
    picture = _clouds(picture, np.asarray(fields), rng, change)
    axis = np.linspace(-1, 1, COMMON_SIDE, dtype=np.float32)
    slope = rng.uniform(-change.light, change.light, 2)
    picture = picture + slope[0] * axis[:, None] + slope[1] * axis[None, :]
    picture += rng.uniform(0, 0.05) * rng.standard_normal(picture.shape, dtype=np.float32)
    picture = _bar(np.clip(picture, 0, 1), rng, change)
    seen = np.rint(255 * picture).astype(np.uint8)
    return harmonise.reduced(seen, harmonise.whole(seen)), np.asarray(fields)


def _affine(side: int, rng: np.random.Generator, change: Distortion) -> tuple[float, ...]:
    """Pillow's six numbers from a pixel of the network's side to one of a film of `side`, mirrored or not."""
    angle = np.deg2rad(rng.uniform(-change.angle, change.angle))
    zoom = rng.uniform(1 - change.scale, 1 + change.scale, 2) * side / COMMON_SIDE
    mirror = rng.choice([-1.0, 1.0])  # only where lungs are, never which disease: both ways round are films
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag(zoom * np.array([mirror, 1.0]))
    centre = side / 2 + side * rng.uniform(-change.shift, change.shift, 2)
    offset = centre - linear @ np.array([COMMON_SIDE / 2, COMMON_SIDE / 2])
    return (*linear[0].tolist(), float(offset[0]), *linear[1].tolist(), float(offset[1]))


def _clouds(picture: Picture, fields: Grey, rng: np.random.Generator, change: Distortion) -> Picture:
    """`picture` in [0, 1] with soft bright clouds whose centres lie in the lungs."""
    places = np.argwhere(fields == outlines.LUNG)
    axis = np.arange(COMMON_SIDE, dtype=np.float32)
    for _ in range(int(rng.integers(0, change.clouds + 1)) if len(places) else 0):
        row, column = places[int(rng.integers(len(places)))]
        tall, wide = rng.uniform(6, 26, 2)
        soft = np.exp(-(((axis - row) / tall) ** 2))[:, None] * np.exp(-(((axis - column) / wide) ** 2))[None]
        picture = picture + rng.uniform(0, change.cloud) * soft.astype(np.float32) * (1 - picture)
    return picture


def _bar(picture: Picture, rng: np.random.Generator, change: Distortion) -> Picture:
    """`picture` in [0, 1], sometimes with a plain bar along an edge, sometimes with a block."""
    if rng.random() < change.bars:
        wide = int(rng.integers(2, COMMON_SIDE // 6))
        picture = np.rot90(picture, turns := int(rng.integers(4))).copy()
        picture[:wide] = rng.choice([0.0, 0.05, 0.5, 1.0])
        picture = np.rot90(picture, -turns).copy()
    if rng.random() < change.bars:
        row, column = rng.integers(0, COMMON_SIDE - 12, 2)
        tall, wide = rng.integers(3, 12, 2)
        picture[row : row + tall, column : column + wide] = rng.choice([0.0, 1.0])
    return picture


def batch(
    real: outlines.Outlined, drawn: outlines.Outlined, recipe: LungRecipe, step: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Films (n, 1, side, side) in [-1, 1] and masks (n, 1, side, side) with 1, 0, and -1 for "ignore"."""
    rng = np.random.default_rng([recipe.seed, 1 + step])
    films, masks = [], []
    for _ in range(recipe.batch_size):
        pool = drawn if len(drawn.films) and rng.random() < recipe.phantom_share else real
        index = int(rng.integers(len(pool.films)))
        film, mask = example(pool.films[index], pool.masks[index], rng, recipe.distortion)
        films.append(film)
        masks.append(mask)
    fields = np.stack(masks)[:, None]
    target = np.where(fields == outlines.IGNORE, -1.0, (fields == outlines.LUNG) * 1.0)
    return torch.from_numpy(np.stack(films)[:, None] / 127.5 - 1), torch.from_numpy(target).float()


def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy plus one minus soft Dice per film, both without the pixels at -1."""
    counted = (target >= 0).float()
    truth = target.clamp_min(0)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, weight=counted)
    guess = logits.sigmoid() * counted
    both = (guess * truth).sum(dim=(1, 2, 3))
    overlap = (2 * both + 1) / (guess.sum(dim=(1, 2, 3)) + truth.sum(dim=(1, 2, 3)) + 1)
    return entropy + (1 - overlap).mean()


def by_network(network: torch.nn.Module) -> lung_scores.Method:
    """`network` as a method that `lung_scores.measure` can measure."""
    return lambda film: lung_shapes.believed(lungs.probabilities(network, film))


def fit(
    recipe: LungRecipe,
    parts: dict[str, outlines.Outlined],
    folder: Path,
    progress: Callable[[int, int, str], None],
) -> tuple[lungs.LungNet, list[dict[str, float]]]:
    """Train in `folder`, going on from its newest checkpoint. The averaged network, and the curve: at each
    evaluation the step, the mean loss since the last one, and the mean Dice on the validation films.

    Raises `ConfigError` when the folder holds another run, `DivergedError`.
    """
    # The network and its moving average, from a checkpoint where there is one.
    drawn = outlines.phantoms(recipe.phantoms, recipe.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = lungs.LungNet()
    averaging = get_ema_multi_avg_fn(recipe.average)  # type: ignore[no-untyped-call]
    average = AveragedModel(network, multi_avg_fn=averaging)
    optimizer = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    state: dict[str, Any] = {
        "recipe": recipe.digest(),
        "films": parts["train"].fingerprint(),
        "curve": [],
        "losses": [],
    }
    nets, optimizers = {"network": network, "average": average}, {"adamw": optimizer}
    saved = checkpoint.saved_steps(folder / "checkpoints")
    if saved:
        state = _resumed(folder / "checkpoints", saved[-1], state)
        checkpoint.restore(folder / "checkpoints", saved[-1], nets, optimizers)
    evaluated_at = {round((number + 1) * recipe.steps / recipe.looks) for number in range(recipe.looks)}
    at = time.monotonic()
    for step in range(saved[-1] if saved else 0, recipe.steps):
        # One step on a batch of films, drawn and real ones.
        optimizer.param_groups[0]["lr"] = _rate(recipe, step)
        films, target = batch(parts["train"], drawn, recipe, step)
        value = loss(network(films), target)
        if not bool(torch.isfinite(value)):
            raise DivergedError(
                f"the loss is no longer finite at step {step}", hint="a lower learning_rate in the recipe"
            )
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update_parameters(network)
        now = value.item()
        state["losses"].append(now)
        # Evaluation on the validation films, and a checkpoint now and then.
        if step + 1 in evaluated_at:
            measured = lung_scores.measure(by_network(average.module), parts["validation"])
            mean = sum(state["losses"]) / len(state["losses"])
            state["curve"].append({"step": step + 1, "loss": round(mean, 5), "dice": measured["mean"]})
            state["losses"] = []
        if step + 1 == recipe.steps or time.monotonic() - at > CHECKPOINT_SECONDS:
            checkpoint.save(folder / "checkpoints", step + 1, nets, optimizers, state)
            at = time.monotonic()
        progress(step + 1, recipe.steps, f"loss {now:.3f}")
    kept: lungs.LungNet = average.module  # type: ignore[assignment]
    return kept.eval(), state["curve"]


def _resumed(folder: Path, step: int, expected: dict[str, Any]) -> dict[str, Any]:
    state = checkpoint.read_state(folder, step)
    for key in ("recipe", "films"):
        if state.get(key) != expected[key]:
            raise ConfigError(
                f"{folder.parent} holds a run of another recipe or other {key}",
                expected="an empty folder or an earlier run of the same",
                hint="choose another folder with --out",
            )
    return {key: state[key] for key in expected}


def _rate(recipe: LungRecipe, step: int) -> float:
    """The learning rate: up over the first twentieth, then down to zero along a cosine."""
    warm = max(recipe.steps // 20, 1)
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    done = (step - warm) / max(recipe.steps - warm, 1)
    return float(recipe.learning_rate * 0.5 * (1 + np.cos(np.pi * done)))


def save(
    path: Path, network: lungs.LungNet, recipe: LungRecipe, parts: dict[str, outlines.Outlined]
) -> lung_weights.Card:
    """Write the weights as fp16 and their card; measured is the network as read back from the file."""
    half = {key: value.detach().half().contiguous() for key, value in network.state_dict().items()}
    content = serialised(half)
    kept = lungs.LungNet()
    kept.load_state_dict({key: value.float() for key, value in half.items()})
    kept.eval()
    trained_on = parts["train"]
    scores: dict[str, Any] = {
        part: {
            "network": lung_scores.measure(by_network(kept), parts[part]),
            "otsu": lung_scores.measure(lung_scores.classical, parts[part]),
            "ellipse": lung_scores.measure(lung_scores.central, parts[part]),
        }
        for part in ("validation", "test", "external")
    }
    card = lung_weights.Card(
        name=recipe.name,
        architecture=ARCHITECTURE,
        widths=lungs.WIDTHS,
        side=COMMON_SIDE,
        parameters=sum(value.numel() for value in half.values()),
        films=trained_on.image_ids,
        patients=sorted(set(trained_on.patient_ids)),
        other_names=trained_on.other_names,
        film_licences=sorted(set(trained_on.licences)),
        mask_licence=outlines.MASK_LICENCE,
        training={
            "recipe": recipe.model_dump(),
            "recipe_digest": recipe.digest(),
            "films": trained_on.fingerprint(),
            "masks": "V7 Labs and CloudFactory, COVID-19 X-ray dataset, as in torchxrayvision",
            "harmonise": harmonise.settings(),
        },
        dice=scores,
        package_version=__version__,
        sha256=hashlib.sha256(content).hexdigest(),
    )
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    write_text(path.with_suffix(".json"), json.dumps(card.model_dump(), indent=2) + "\n")
    return card


app = typer.Typer(help="The network that finds the lungs.", no_args_is_help=True, add_completion=False)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="generation/lungs/lung-fields.toml")],
    root: Root = None,
    out: Annotated[Path, typer.Option(help="the run's folder")] = Path("runs/lung-fields"),
) -> None:
    """Train the network of RECIPE on a CPU and measure it; the same command goes on after a stop."""
    loaded = read_toml(recipe, LungRecipe)
    with progress_bar("reading films") as tick:
        parts = outlines.read(root, loaded.seed, (loaded.validation, loaded.test), tick)
    with progress_bar("training") as tick:
        network, curve = fit(loaded, parts, out, tick)
    card = save(out / f"{loaded.name}.safetensors", network, loaded, parts)
    write_text(out / "curve.json", json.dumps({"curve": curve, "dice": card.dice}, indent=2) + "\n")
    for part, scores in card.dice.items():
        say(f"{part:10} network {scores['network']['mean']:.3f}  otsu {scores['otsu']['mean']:.3f}")


if __name__ == "__main__":
    guarded(app)
