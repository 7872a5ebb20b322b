"""A generator rewritten for inference: the same function to rounding, in fewer passes over the images.

In evaluation batch norm is a factor and an offset for each channel, which the weights and the bias of the
convolution before it can take over. And a transposed convolution of stride 2 to a single channel, with which
several generators end, is slow on a CPU, whose kernels compute many channels at once; as a convolution to
the four phases of each doubled pixel it takes half the time.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from covid_synth_data.generators.layers import UpsampleConv


def for_inference(network: nn.Module) -> nn.Module:
    """`network` itself, rewritten in place; it no longer fits the weights that it was loaded from."""
    fold_norms(network.eval())
    split_phases(network)
    return network


@torch.no_grad()
def fold_norms(network: nn.Module) -> int:
    """Fold every batch norm that follows a convolution in a `nn.Sequential`; returns how many."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d, UpsampleConv)
    folded = 0
    for chain in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for (_, before), (name, norm) in itertools.pairwise(chain.named_children()):
            layer = _last(before)
            if not isinstance(norm, nn.BatchNorm2d) or not isinstance(layer, kinds):
                continue
            mean, variance = norm.running_mean, norm.running_var
            if mean is None or variance is None:  # a norm that takes each batch's own
                continue
            layer.weight, layer.bias = fuse_conv_bn_weights(
                layer.weight,
                layer.bias,
                mean,
                variance,
                norm.eps,
                norm.weight,
                norm.bias,
                transpose=isinstance(layer, nn.ConvTranspose2d),
            )
            setattr(chain, name, nn.Identity())
            folded += 1
    return folded


class PhaseConv(nn.Conv2d):
    """A transposed convolution of stride 2 to one channel, computed as a convolution and a shuffle."""

    @torch.no_grad()
    def __init__(self, same: nn.ConvTranspose2d) -> None:
        """The weights of `same`, whose kernel must reach no further than a pixel beside its own."""
        super().__init__(same.in_channels, 4, 3, padding=1)
        side, padding = same.kernel_size[0], int(same.padding[0])
        # taps[phase, q, t]: for a phase of a doubled pixel, place q of the 3x3 window meets tap t.
        taps = torch.zeros(2, 3, side)
        for phase, q in itertools.product(range(2), range(3)):
            if 0 <= (t := 2 * (1 - q) + phase + padding) < side:
                taps[phase, q, t] = 1
        weight = torch.einsum("yqt,xru,ctu->yxcqr", taps, taps, same.weight.squeeze(1))
        self.weight.copy_(weight.flatten(0, 1))
        self.bias = nn.Parameter(torch.zeros(4) if same.bias is None else same.bias.repeat(4))

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, 1, 2h, 2w)."""
        return F.pixel_shuffle(super().forward(x), 2)


def split_phases(network: nn.Module) -> int:
    """Replace the transposed convolutions that `PhaseConv` can compute. Returns their number."""
    splittable = [(name, layer) for name, layer in network.named_modules() if _splits(layer)]
    for name, layer in splittable:
        owner, _, attribute = name.rpartition(".")
        assert isinstance(layer, nn.ConvTranspose2d)  # noqa: S101 - `_splits` has checked it
        setattr(network.get_submodule(owner), attribute, PhaseConv(layer))
    return len(splittable)


def _splits(layer: nn.Module) -> bool:
    if not isinstance(layer, nn.ConvTranspose2d):
        return False
    shape = (layer.kernel_size, layer.padding, layer.output_padding)
    doubling = {((4, 4), (1, 1), (0, 0)), ((5, 5), (2, 2), (1, 1))}
    return layer.out_channels == 1 and layer.stride == (2, 2) and shape in doubling


def _last(module: nn.Module) -> nn.Module:
    """The last layer of `module`."""
    while isinstance(module, nn.Sequential) and len(module):
        module = module[-1]
    return module
