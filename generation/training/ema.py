"""The mean teacher: a moving average of a network's weights, which samples better than the network itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_OLD_NAMES = {"updates": "n_averaged", "network.": "module."}
"""Names in the checkpoints of earlier versions, and their names now."""


class MeanTeacher(AveragedModel):
    """The exponential moving average of a student (Tarvainen & Valpola 2017; menon2020, Sect. IV.B, Eq. 3).

    After each step of the student: teacher = a * teacher + (1 - a) * student, with a = min(1 - 1 / t, decay)
    in step t, so that the random initial weights are forgotten at once. Running statistics of batch norm are
    averaged like weights; whole numbers are copied. There is no consistency loss, as in menon2020.
    """

    def __init__(self, student: nn.Module, decay: float) -> None:
        """A frozen copy of `student`; `decay` is a in [0, 1)."""

        def average(means: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int) -> None:
            if not means[0].is_floating_point():
                for mean, value in zip(means, values, strict=True):
                    mean.copy_(value)
                return
            # `count` updates came before this one. The weight stays a tensor, so that a GPU need not wait.
            before = torch.as_tensor(count).double()
            weight = 1 - torch.clamp(1 - 1 / (before + 1), max=decay)
            torch._foreach_lerp_(list(means), list(values), weight.float())  # type: ignore[call-overload]

        super().__init__(student, multi_avg_fn=average, use_buffers=True)
        self.requires_grad_(False)
        self.register_load_state_dict_pre_hook(_rename)  # type: ignore[no-untyped-call]

    @property
    def network(self) -> nn.Module:
        """The averaged network."""
        return self.module


def _rename(_: nn.Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
    """Bring the names of an earlier version's checkpoint up to date, in place."""
    for name in list(state):
        for old, new in _OLD_NAMES.items():
            if name.startswith(prefix + old):
                state[prefix + new + name.removeprefix(prefix + old)] = state.pop(name)
