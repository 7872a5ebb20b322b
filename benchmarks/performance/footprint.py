"""How much memory a training step takes at its peak, without doing it: tensors without content, counted."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from covid_synth_data.errors import ConfigError
from covid_synth_data.generators.label_maps import CLASSES
from generation.families.label_maps.family import LabelFamily
from generation.families.label_maps.family import LabelRecipe as Recipe
from generation.recipe import family
from generation.training import loop


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it the bytes of all storages that are alive are counted. Attributes: `now`, `peak`."""

    def __init__(self) -> None:
        """Nothing counted yet."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Do `func`, and count what it made."""
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self.count(tensor)
        self.peak = max(self.peak, self.now)
        return made

    def count(self, tensor: Tensor) -> None:
        """Count the storage of `tensor` until it is gone, unless it is counted."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known and self._known[key]() is not None:
            return

        def gone(_: object) -> None:
            self.now -= size
            self._known.pop(key, None)

        self._known[key] = weakref.ref(storage, gone)
        self.now += size


def peak_bytes(recipe: Recipe, step: float = 1.0) -> int:
    """Bytes of weights, gradients, optimiser states and activations at the peak of two steps in bf16.

    `step` says where in the run, 0 to 1: the stages differ. An estimate from below for a GPU: what its
    kernels work in, what its allocator wastes and the moving average of the weights come on top.
    """
    content = recipe.model_dump()
    content["training"] |= {"precision": "bf16-mixed", "ema": 0.0}
    whole = type(recipe).model_validate(content)
    trainee = family(whole.family)(whole, loop.make_fabric(whole, "cpu"))
    if not isinstance(trainee, LabelFamily):
        raise ConfigError(f"{whole.name} learns from no label maps", expected="a recipe of CT slices")
    size, count = whole.data.size, whole.training.batch_size
    trainee.begin(min(999, int(step * 1000)), 1000)
    mode, counter = FakeTensorMode(), LiveBytes()
    _empty(trainee, mode, counter)
    with mode, counter:
        for _ in range(2):
            maps = torch.zeros(count, CLASSES, size, size)
            trainee.step(maps, torch.zeros(count, 1, size, size))
    return counter.peak


def _empty(trainee: LabelFamily, mode: FakeTensorMode, counter: LiveBytes) -> None:
    """Replace all weights by tensors without content, and the optimisers by ones of these."""
    for network in trainee.networks.values():
        for module in network.modules():
            for name, weight in list(module.named_parameters(recurse=False)):
                empty = nn.Parameter(mode.from_tensor(weight.detach()), weight.requires_grad)
                module.register_parameter(name, empty)
                counter.count(empty)
            for name, buffer in list(module.named_buffers(recurse=False)):
                setattr(module, name, mode.from_tensor(buffer))
    trainee.optimizers = {
        name: trainee.optimizer(p for owned in names for p in trainee.networks[owned].parameters())
        for name, names in trainee.owners.items()
    }
