"""The global-local generator: shapes, sizes, DESUM against its equation, checkpointing, ablations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from covid_synth_data import generators
from covid_synth_data.errors import ConfigError
from covid_synth_data.generators.ct_global_local import DESUM, GlobalLocalGenerator, Weighting
from covid_synth_data.generators.label_maps import BLACK, one_hot
from tests.generators.network_checks import alone_as_together, gradients_flow, output_shapes, trained_count


def maps_of(count: int = 2, side: int = 32, seed: int = 0) -> torch.Tensor:
    blocks = torch.randint(0, 4, (count, side // 4, side // 4), generator=torch.manual_seed(seed))
    return one_hot(blocks.repeat_interleave(4, 1).repeat_interleave(4, 2).to(torch.uint8))


def tiny(**options) -> GlobalLocalGenerator:
    torch.manual_seed(1)
    return GlobalLocalGenerator(**{"width": 2, "blocks": 2, **options})


def convolution(inputs: int, outputs: int, kernel: int) -> int:
    return kernel * kernel * inputs * outputs + 3 * outputs  # bias and affine norm


def test_the_papers_layers_and_sizes():
    with torch.device("meta"):
        network = GlobalLocalGenerator(64)
        shapes = output_shapes(network, (nn.Conv2d,), torch.zeros(1, 4, 512, 512))
    coarse = [(64, 256, 256), (128, 128, 128), (256, 64, 64), *[(512, 32, 32)] * 19]
    coarse += [(256, 64, 64), (128, 128, 128), (64, 256, 256)]
    fine = [(64, 512, 512), (128, 512, 512)]
    assert shapes[: len(coarse)] == coarse
    assert shapes[len(coarse) : len(coarse) + 2] == fine
    assert shapes[-20:] == [*[(128, 512, 512)] * 19, (1, 512, 512)]
    g1 = convolution(4, 64, 7) + convolution(64, 64, 3) - convolution(64, 64, 3)
    ladder = [(64, 128), (128, 256), (256, 512)]
    g1 += sum(convolution(i, o, 3) + convolution(o, i, 3) for i, o in ladder)
    g1 += 18 * convolution(512, 512, 3) + 49 * 64 + 1
    g2 = convolution(4, 64, 7) + convolution(64, 128, 3) + 19 * convolution(128, 128, 3) + 49 * 128 + 1
    assert [trained_count(scale) for scale in network.scales] == [g1, g2]
    assert trained_count(network) == 48_578_339


@pytest.mark.parametrize("observes", ["local", "global"])
def test_desum_is_its_equation(observes):
    torch.manual_seed(0)
    block = DESUM(6, 3, "dynamic", observes)
    nn.init.normal_(block.weighting.dense[-1].weight)
    local, coarse = torch.randn(2, 6, 16, 16), torch.randn(2, 3, 8, 8)
    made, alpha = block(local, coarse)
    # The other order, as the text has it: up-sampled first, then the 1x1 convolution.
    up = nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    brought = block.bring(up)
    logit = block.weighting(local if observes == "local" else brought)
    expected = torch.sigmoid(logit).view(2, 1, 1, 1)
    assert torch.allclose(alpha, expected, atol=1e-5)
    assert alpha[0] != alpha[1]
    assert torch.allclose(made, expected * local + (1 - expected) * brought, atol=1e-5)


def test_desum_fixed_and_none():
    local, coarse = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 4, 4)
    fixed = DESUM(4, 4, "fixed", alpha=0.25)
    brought = nn.functional.interpolate(fixed.bring(coarse), scale_factor=2, mode="bilinear")
    made, alpha = fixed(local, coarse)
    assert torch.allclose(made, 0.25 * local + 0.75 * brought, atol=1e-6)
    assert alpha.item() == 0.25
    plain = DESUM(4, 4, "none")
    plain.bring.load_state_dict(fixed.bring.state_dict())
    assert torch.allclose(plain(local, coarse)[0], local + brought, atol=1e-6)


def test_the_weighting_network_starts_even_and_has_three_convolutions_and_two_dense_layers():
    network = Weighting(5, 8)
    kinds = [type(layer) for layer in network.modules()]
    assert (kinds.count(nn.Conv2d), kinds.count(nn.Linear)) == (3, 2)
    assert network(torch.randn(3, 5, 16, 16)).tolist() == [[0.0]] * 3


def test_each_generator_has_its_resolution():
    network, maps = tiny(generators=3), maps_of(1, 64)
    assert [tuple(network.alone(maps, scale).shape[2:]) for scale in range(3)] == [
        (16, 16),
        (32, 32),
        (64, 64),
    ]
    assert network(maps).shape == (1, 1, 64, 64)


def test_alone_g2_sees_nothing_of_g1_and_jointly_it_does():
    network, maps = tiny(), maps_of()
    before = network.alone(maps, 1), network(maps)
    with torch.no_grad():
        for weight in network.scales[0].parameters():
            weight.add_(0.5)
    assert torch.equal(network.alone(maps, 1), before[0])
    assert not torch.allclose(network(maps), before[1], atol=1e-3)


def test_background_is_black_and_lung_is_drawn():
    maps = maps_of()
    made = tiny()(maps)
    outside = maps[:, :1] > 0.5
    assert (made[outside] == BLACK).all()
    assert made[~outside].std() > 0
    assert made.abs().max() <= 1
    assert (tiny(area="slice")(maps)[outside] != BLACK).any()


def test_a_slice_depends_on_its_map_alone():
    alone_as_together(tiny(), maps_of(3))


def test_every_weight_learns_jointly():
    network = tiny()
    nn.init.normal_(network.desums[0].weighting.dense[-1].weight)
    # G1's own image is not made; a bias before instance norm does nothing.
    loss = network(maps_of()).square().mean()
    network.zero_grad()
    loss.backward()
    named = dict(network.named_parameters())
    unused = {name for name, weight in named.items() if weight.grad is None}
    assert unused == {"scales.0.last.weight", "scales.0.last.bias"}
    assert all(w.grad.isfinite().all() for w in named.values() if w.grad is not None)
    assert all(
        w.grad.abs().max() > 0 for name, w in named.items() if name not in unused and name.endswith("weight")
    )


def test_checkpointing_changes_no_gradient():
    plain, saving, maps = tiny(), tiny(), maps_of()
    saving.checkpointing(True)
    for network in (plain, saving):
        network.train()(maps).square().mean().backward()
    for (name, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None), name
        assert a.grad is None or torch.equal(a.grad, b.grad), name


def test_checkpointing_keeps_less():
    def saved(checkpointing: bool) -> int:
        network, kept = tiny(width=4, blocks=4), []
        network.checkpointing(checkpointing)
        hooks = torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x)
        with hooks:
            network(maps_of(1, 64))
        return sum(kept)

    assert saved(True) < 0.5 * saved(False)


def test_ablations_change_the_network():
    def names(**options) -> set[str]:
        return {
            name.split(".")[0] + "." + name.split(".")[1] for name, _ in tiny(**options).named_parameters()
        }

    def weighting(**options) -> bool:
        return any("weighting" in name for name, _ in tiny(**options).named_parameters())

    assert names() == {"scales.0", "scales.1", "desums.0"}
    assert names(generators=1) == {"scales.0"}
    assert names(generators=3) == {"scales.0", "scales.1", "scales.2", "desums.0", "desums.1"}
    assert weighting()
    assert not weighting(desum="fixed")
    assert not weighting(desum="none")
    maps = maps_of()
    assert not torch.allclose(tiny(desum="fixed")(maps), tiny(desum="none")(maps), atol=1e-3)
    assert not torch.allclose(tiny(desum="fixed", alpha=0.1)(maps), tiny(desum="fixed")(maps), atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"generators": 4}, "1, 2 or 3"),
        ({"desum": "some"}, "dynamic, fixed, none"),
        ({"area": "chest"}, "lung or"),
        ({"alpha": 2.0}, "0 to 1"),
        ({"width": 0}, "at least 1"),
    ],
)
def test_wrong_options_are_one_line(options, message):
    with pytest.raises(ConfigError, match=message):
        generators.build("ct-global-local", **options)


@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (1, 4, 40, 32), (1, 4, 16, 16), (4, 32, 32)])
def test_wrong_maps_are_one_line(shape):
    with pytest.raises(ConfigError, match="float tensor"):
        tiny()(torch.zeros(shape))


def test_one_hot_refuses_what_is_no_label_map():
    made = one_hot(torch.tensor([[[0, 1], [2, 3]]], dtype=torch.uint8))
    assert made.argmax(1).tolist() == [[[0, 1], [2, 3]]]
    with pytest.raises(ConfigError, match="unknown label; found 4"):
        one_hot(torch.full((1, 2, 2), 4, dtype=torch.uint8))
    with pytest.raises(ConfigError, match="uint8"):
        one_hot(torch.zeros(1, 2, 2))


def test_gradients_reach_a_generator_that_is_alone():
    network = tiny()
    gradients_flow(network.scales[1], network.alone(maps_of(), 1).square().mean(), ("bias",))
    assert all(weight.grad is None for weight in network.scales[0].parameters())


def drawn(network: GlobalLocalGenerator, maps: torch.Tensor, seed: int = 0, first: int = 0) -> torch.Tensor:
    with torch.no_grad():
        return network(maps, *network.noise_of(maps, seed, range(first, first + len(maps))))


def test_noise_of_an_image_depends_on_seed_and_number_alone():
    network = tiny(noise=3).eval()
    maps = maps_of(3)
    made = drawn(network, maps)
    (z,) = network.noise_of(maps, 0, range(3))
    assert z.shape == (3, 3, 32, 32)
    assert z.mean().abs() < 0.1
    assert abs(z.std().item() - 1) < 0.05
    assert torch.allclose(drawn(network, maps[1:], first=1), made[1:], atol=1e-6)
    assert not torch.allclose(drawn(network, maps, seed=1), made)
    again = maps[:1].repeat(2, 1, 1, 1)
    first, second = drawn(network, again)
    assert not torch.equal(first, second)
    assert tiny().noise_of(maps, 0, range(3)) == ()


def test_without_noise_nothing_is_drawn_but_in_training():
    network = tiny(noise=2).eval()
    maps = maps_of()
    for wrong in ((), (torch.zeros(2, 2, 16, 16),), (torch.zeros(2, 3, 32, 32),)):
        with pytest.raises(ConfigError, match="no noise to draw with"):
            network(maps, *wrong)
        with pytest.raises(ConfigError, match="no noise to draw with"):
            network.alone(maps, 0, *wrong)
    network.train()
    torch.manual_seed(3)
    one, other = network(maps), network(maps)
    assert not torch.equal(one, other)
    torch.manual_seed(3)
    assert torch.equal(network(maps), one)


def test_noise_at_half_the_resolution_has_the_same_spread():
    network = tiny(noise=4)
    maps = maps_of(8, 64)
    (z,) = network.noise_of(maps, 5, range(8))
    for times in (0, 1, 2):
        seen = network.seen(maps, z, times)
        assert seen.shape == (8, 8, 64 >> times, 64 >> times)
        assert abs(seen[:, 4:].std().item() - 1) < 0.05


def test_a_norm_of_channels_does_not_see_the_black_around():
    """What is drawn in the middle of a window stays, however large the slice around it is."""
    maps = torch.zeros(1, 4, 128, 128)
    maps[:, 0] = 1
    window = maps_of(1, 64)
    maps[:, :, 32:96, 32:96] = window
    inner = slice(20, 44)
    gaps = {}
    for norm in ("instance", "channel"):
        network = tiny(generators=1, norm=norm, blocks=1, width=4).eval()
        with torch.no_grad():
            whole, part = network(maps)[..., 32:96, 32:96], network(window)
        gaps[norm] = (whole - part)[..., inner, inner].abs().max().item()
    assert gaps["channel"] < 1e-5
    assert gaps["instance"] > 1e-2


@pytest.mark.parametrize("wrong", [{"norm": "batch"}, {"noise": -1}, {"noise": 65}])
def test_unknown_norms_and_numbers_of_planes_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        tiny(**wrong)
