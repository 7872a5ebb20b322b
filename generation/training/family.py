"""The base of all trained families: networks from a seed, optimisers, updates, the teacher."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from covid_synth_data.files.pixels import Grey
from generation.data.batches import Batches
from generation.data.films import Progress, TrainingImages
from generation.recipe import TrainedRecipe
from generation.training.ema import MeanTeacher

B = TypeVar("B", bound=Batches)
"""The batches of a family's kind."""


class Family(ABC, Generic[B]):
    """Networks, optimisers and the step of one recipe.

    A family names its `Recipe`, reads its own training images (`read`), makes its networks (`make`), says
    which optimiser updates which networks (`owners`) and does one update (`step`). What a step draws at
    random comes from torch's generator. The training loop seeds that generator before each step, so a step is
    a function of the weights, the batch and the step's number.
    """

    Recipe: ClassVar[type[TrainedRecipe]]
    owners: ClassVar[Mapping[str, Sequence[str]]]
    """Optimiser name to the networks that it updates."""
    channels_last: bool = False
    """Whether that memory layout is the faster one on a CPU too; on a GPU it is for all families."""
    teachers: ClassVar[Sequence[str]] = ()
    """The networks that are averaged where the recipe has `training.ema`; the one for inference first."""

    def __init__(self, recipe: Any, fabric: Fabric) -> None:
        """Fresh weights from the recipe's seed, on the device of `fabric`."""
        self.recipe = recipe
        self.fabric = fabric
        self.now, self.total = 0, 0
        """The number of the step and of all steps, set by the loop (`begin`)."""
        with torch.random.fork_rng(devices=[]):
            # Layers draw their initial weights from the global generator; its state is put back afterwards.
            torch.manual_seed(recipe.seed)
            self.networks: dict[str, nn.Module] = dict(self.make())
        on_gpu = fabric.device.type == "cuda"
        for network in self.networks.values():
            network.to(fabric.device)
            last = on_gpu or self.channels_last
            network.to(memory_format=torch.channels_last if last else torch.contiguous_format)
        if recipe.training.ema:
            for name in self.teachers:
                self.networks[f"{name}_teacher"] = MeanTeacher(self.networks[name], recipe.training.ema)
        self.optimizers: dict[str, Optimizer] = {
            name: self.optimizer(p for owned in names for p in self.networks[owned].parameters())
            for name, names in self.owners.items()
        }

    @abstractmethod
    def make(self) -> Mapping[str, nn.Module]:
        """The networks by name, with fresh weights."""

    def compile(self) -> None:
        """Compile what `compilable` names for batches of one shape, so that a run keeps its kernels."""
        for name in self.compilable():
            self.networks[name].compile(dynamic=False)

    def compilable(self) -> Sequence[str]:
        """The networks that `training.compile` compiles: all that are trained, unless a family knows better.

        A compiled network has no gradients of gradients, which a penalty of its gradients needs.
        """
        return [name for names in self.owners.values() for name in names]

    @abstractmethod
    def step(self, *batch: Tensor) -> Mapping[str, Tensor]:
        """One update of all networks. Returns the loss terms as scalars on the device, without waiting."""

    @classmethod
    @abstractmethod
    def read(cls, recipe: Any, root: Path | None, progress: Progress) -> Sequence[TrainingImages]:
        """The training images of a recipe of this family, by class; `progress` gets (done, all)."""

    @abstractmethod
    def batches(self, images: Sequence[Any]) -> B:
        """The images that `read` gave, as this family's step takes them."""

    @abstractmethod
    def inference_network(self) -> nn.Module:
        """The network that makes images: the teacher where there is one."""

    @abstractmethod
    def preview(self, batches: B, rows: int) -> list[Tensor]:
        """Columns of the sample grid, each (`rows`, 1, h, w) in [-1, 1]."""

    @abstractmethod
    def samples(self, count: int, batches: B) -> Grey:
        """`count` images of the inference network as it would make them for a release: uint8 (n, h, w)."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The part of the weights' card that depends on the family: architecture, options, classes."""

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """Adam as the recipe's schedule has it."""
        schedule = self.recipe.training
        betas = (schedule.beta1, schedule.beta2)
        return Adam(list(parameters), schedule.learning_rate, betas, fused=True)

    def begin(self, now: int, total: int) -> None:
        """Before step `now` of `total`: the learning rate that the schedule has for it."""
        self.now, self.total = now, total
        schedule = self.recipe.training
        if schedule.decay:
            left = min(1.0, (total - now) / (schedule.decay * total))
            for optimizer in self.optimizers.values():
                for group in optimizer.param_groups:
                    group["lr"] = schedule.learning_rate * left

    def measures(self, batches: B) -> Mapping[str, float]:
        """Further measurements of an evaluation; none, unless a family knows what its images should be."""
        return {}

    def update(self, name: str, loss: Tensor | Iterable[Tensor]) -> None:
        """One step of the optimiser `name` down `loss`, gradients averaged over the devices.

        Several losses are added up; each is computed when the one before has given its gradients.
        """
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        for part in [loss] if isinstance(loss, Tensor) else loss:
            self.fabric.backward(part)
        if self.fabric.world_size > 1:
            for group in optimizer.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.grad = self.fabric.all_reduce(p.grad, reduce_op="mean")
        optimizer.step()

    def update_teachers(self) -> None:
        """Move the teachers one step towards their students; nothing where the recipe has none."""
        for name in self.teachers:
            teacher = self.networks.get(f"{name}_teacher")
            if isinstance(teacher, MeanTeacher):
                teacher.update_parameters(self.networks[name])

    def starting(self) -> dict[str, nn.Module]:
        """The networks that take over the weights of the run a recipe starts from: all but the teachers."""
        return {name: net for name, net in self.networks.items() if not isinstance(net, MeanTeacher)}

    def best_of(self, name: str) -> nn.Module:
        """The teacher of network `name` where there is one, else the network."""
        teacher = self.networks.get(f"{name}_teacher")
        return teacher.network if isinstance(teacher, MeanTeacher) else self.networks[name]


@contextlib.contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Within it the weights of `networks` take no gradients; only what they score learns."""
    for network in networks:
        network.requires_grad_(False)
    yield
    for network in networks:
        network.requires_grad_(True)
