"""Batch norm folded into the convolution before it: what a generator computes in evaluation, in fewer passes.

In evaluation batch norm is a factor and an offset for each channel, which the weights and the bias of the
convolution before it can take over: the same function to rounding.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from covid_synth_data.generators.layers import UpsampleConv


@torch.no_grad()
def fold_norms(network: nn.Module) -> int:
    """Fold, in place, every batch norm that follows a convolution in a `nn.Sequential`; returns how many.

    For inference alone: `network` no longer fits the weights that it was loaded from.
    """
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
                layer.weight, layer.bias, mean, variance, norm.eps, norm.weight, norm.bias,
                transpose=isinstance(layer, nn.ConvTranspose2d),
            )  # fmt: skip
            setattr(chain, name, nn.Identity())
            folded += 1
    return folded


def _last(module: nn.Module) -> nn.Module:
    """The layer that has the last word in `module`."""
    while isinstance(module, nn.Sequential) and len(module):
        module = module[-1]
    return module
