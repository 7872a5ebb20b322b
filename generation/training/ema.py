"""The mean teacher: a moving average of a network's weights, which samples better than the network itself."""

from __future__ import annotations

import copy

import torch
from torch import nn


class MeanTeacher(nn.Module):
    """The exponential moving average of a student (Tarvainen & Valpola 2017; menon2020, Sect. IV.B, Eq. 3).

    After each step of the student: teacher = a * teacher + (1 - a) * student, with a = min(1 - 1 / t, decay)
    in the t-th step, so that the random initial weights are forgotten at once. Running statistics of batch
    norm are averaged like weights; whole numbers are copied. No consistency loss, as in menon2020.
    """

    updates: torch.Tensor

    def __init__(self, student: nn.Module, decay: float) -> None:
        """A frozen copy of `student`; `decay` is a in [0, 1)."""
        super().__init__()
        self.decay = decay
        self.network = copy.deepcopy(student).requires_grad_(False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, student: nn.Module) -> None:
        """One step towards the student's present weights."""
        self.updates += 1
        weight = 1 - torch.clamp(1 - 1 / self.updates.double(), max=self.decay)
        mine, theirs = self.network.state_dict(), student.state_dict()
        floats = [key for key, value in mine.items() if value.is_floating_point()]
        # The weight stays a tensor, so that a GPU need not be waited for.
        pairs = [mine[key] for key in floats], [theirs[key] for key in floats]
        torch._foreach_lerp_(*pairs, weight.float())  # type: ignore[call-overload]
        for key in mine.keys() - set(floats):
            mine[key].copy_(theirs[key])
