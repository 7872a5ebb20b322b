"""What the tests of the networks share: counts, shapes layer by layer, and what every network must do."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def trained_count(network: nn.Module) -> int:
    """Parameters that an optimiser changes."""
    return sum(p.numel() for p in network.parameters())


def keras_count(network: nn.Module) -> int:
    """Parameters as Keras counts them: moving means and variances of batch norm are parameters too."""
    moving = [b for name, b in network.named_buffers() if name.endswith(("running_mean", "running_var"))]
    return trained_count(network) + sum(b.numel() for b in moving)


def output_shapes(network: nn.Module, kinds: tuple[type[nn.Module], ...], *inputs: Tensor) -> list[tuple]:
    """Shape without the batch of what each layer of `kinds` gives, in the order in which they run."""
    shapes: list[tuple] = []
    hooks = [
        layer.register_forward_hook(lambda _m, _i, made: shapes.append(tuple(made.shape[1:])))
        for layer in network.modules()
        if isinstance(layer, kinds)
    ]
    with torch.no_grad():
        network.eval()(*inputs)
    for hook in hooks:
        hook.remove()
    return shapes


def gradients_flow(network: nn.Module, loss: Tensor, besides: tuple[str, ...] = ()) -> None:
    """Every parameter but those that start behind a zero gets a gradient that is finite and not zero."""
    network.zero_grad()
    loss.backward()
    for name, parameter in network.named_parameters():
        if name.endswith(besides) and besides:
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def alone_as_together(network: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Row i of the result depends on row i of the inputs alone."""
    with torch.no_grad():
        together = network(*inputs)
        alone = torch.cat([network(*(x[i : i + 1] for x in inputs)) for i in range(len(inputs[0]))])
    assert together.std() > 0
    assert torch.allclose(together, alone, atol=1e-5)


def warm_up(network: nn.Module, *inputs: Tensor) -> nn.Module:
    """Evaluation mode, with the statistics of `inputs` as running statistics, as after training."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


def same_in_channels_last(network: nn.Module, *inputs: Tensor) -> None:
    """The memory layout changes no value, and reaches the network's own maps."""
    with torch.no_grad():
        plain = network(*inputs)
        network.to(memory_format=torch.channels_last)
        layouts: list[bool] = []
        wide = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        hooks = [
            layer.register_forward_hook(
                lambda _m, _i, made: layouts.append(made.is_contiguous(memory_format=torch.channels_last))
            )
            for layer in wide
        ]
        turned = network(*inputs)
    for hook in hooks:
        hook.remove()
    network.to(memory_format=torch.contiguous_format)
    assert all(layouts)
    first = (plain, turned) if isinstance(plain, Tensor) else (plain[0], turned[0])
    assert torch.allclose(*first, atol=1e-4)


def works_in_autocast(network: nn.Module, *inputs: Tensor) -> Tensor:
    """The result in bf16, finite and with finite gradients."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = network(*inputs)
    network.zero_grad()
    made.float().square().mean().backward()
    assert made.isfinite().all()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)
    return made
