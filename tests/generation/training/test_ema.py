"""The mean teacher: Eq. 3 of menon2020, what it averages and what it copies, and going on after a stop."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from generation.training.ema import MeanTeacher


def student(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(mine, theirs) for mine, theirs in pairs)


def step(network: nn.Module, number: int) -> None:
    """Something that changes weights, running statistics and the count of batches."""
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.1 * number)
        network(torch.full((2, 1, 4, 4), float(number)) + torch.arange(16.0).view(1, 1, 4, 4))


def test_the_first_step_forgets_the_initial_weights():
    network = student()
    teacher = MeanTeacher(network, 0.999)
    step(network, 5)
    teacher.update_parameters(network)
    assert equal(teacher.network, network)


@pytest.mark.parametrize("decay", [0.5, 0.7, 0.999])
def test_weights_and_running_statistics_follow_the_equation(decay):
    network = student()
    teacher = MeanTeacher(network, decay)
    expected: dict[str, torch.Tensor] = {}
    for t in range(1, 7):
        step(network, t)
        teacher.update_parameters(network)
        a = min(1 - 1 / t, decay)
        for key, value in network.state_dict().items():
            expected[key] = a * expected.get(key, torch.zeros(())) + (1 - a) * value.double()
    found = teacher.network.state_dict()
    assert int(teacher.n_averaged) == 6
    assert int(found["1.num_batches_tracked"]) == 6  # a whole number: copied
    for key in found.keys() - {"1.num_batches_tracked"}:
        torch.testing.assert_close(found[key].double(), expected[key], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found["0.weight"], network.state_dict()["0.weight"])


def test_a_decay_of_nothing_is_the_student():
    network = student()
    teacher = MeanTeacher(network, 0.0)
    for t in range(3):
        step(network, t)
        teacher.update_parameters(network)
    assert equal(teacher.network, network)


def test_the_student_is_left_alone_and_the_teacher_learns_nothing_itself():
    network = student()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    teacher = MeanTeacher(network, 0.9)
    teacher.update_parameters(student(1))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(p.requires_grad for p in network.parameters())
    assert not any(p.requires_grad for p in teacher.parameters())


def test_a_restored_teacher_goes_on_as_if_it_had_not_stopped():
    """The number of updates is part of its state: it sets the weight of the next."""
    network = student()
    whole = MeanTeacher(network, 0.9)
    stopped = MeanTeacher(network, 0.9)
    for t in range(6):
        step(network, t)
        whole.update_parameters(network)
        stopped.update_parameters(network)
        if t == 2:
            other = MeanTeacher(student(9), 0.9)
            other.load_state_dict(stopped.state_dict())
            stopped = other
    assert int(stopped.n_averaged) == 6
    assert equal(stopped, whole)


def test_the_checkpoint_of_an_earlier_version_is_read():
    """Its names were `updates` and `network.*`."""
    teacher = MeanTeacher(student(), 0.9)
    teacher.update_parameters(student(1))
    names = {"n_averaged": "updates"}
    old = {names.get(k, k.replace("module.", "network.")): v for k, v in teacher.state_dict().items()}
    other = MeanTeacher(student(2), 0.9)
    other.load_state_dict(old)
    assert equal(other, teacher)
