"""Augmentation of what the discriminator sees: ranges, gradients, seeds, and each change on its own."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from covid_synth_data.errors import ConfigError
from generation.families.augmentation import BLACK, DRAWS, GREY, Policy, augment, draw

NOTHING = {
    "brightness": 0.0,
    "contrast": 0.0,
    "translation": 0.0,
    "cutout": 0.0,
    "scale": 0.0,
    "rotation": 0.0,
    "probability": 1.0,
}


STRONG = Policy(
    brightness=0.4, contrast=0.4, translation=0.125, cutout=0.4, scale=0.1, rotation=5, probability=0.8
)
"""Every kind of change."""


def only(**changes: float) -> Policy:
    return Policy.model_validate(NOTHING | changes)


def numbers(count: int, seed: int = 0) -> torch.Tensor:
    return draw(count, torch.Generator().manual_seed(seed))


@pytest.fixture
def films() -> torch.Tensor:
    return torch.rand(6, 1, 32, 32, generator=torch.Generator().manual_seed(9)) * 1.6 - 0.8


def test_shape_type_and_bounds(films):
    policy = STRONG
    y = augment(films.bfloat16(), numbers(6), policy)
    assert y.shape == films.shape
    assert y.dtype == torch.float32
    # (x - mean) has at most 2, times the strongest contrast, about a mean in [-1, 1], plus brightness
    assert y.abs().max() <= 2 * (1 + policy.contrast) + 1 + policy.brightness
    assert not torch.allclose(y, films, atol=0.05)


def test_it_depends_on_the_numbers_alone(films):
    torch.manual_seed(1)
    one = augment(films, numbers(6), STRONG)
    torch.manual_seed(2)
    assert torch.equal(one, augment(films, numbers(6), STRONG))
    assert not torch.equal(one, augment(films, numbers(6, seed=1), STRONG))


def test_draw_is_seeded_and_uniform():
    many = numbers(4000)
    assert many.shape == (4000, DRAWS)
    assert torch.equal(many[:10], numbers(4000)[:10])
    assert 0 <= many.min() < many.max() < 1
    assert torch.allclose(many.mean(0), torch.full((DRAWS,), 0.5), atol=0.03)


def test_each_film_depends_on_its_own_numbers(films):
    u = numbers(6)
    together = augment(films, u, STRONG)
    for i in range(6):
        alone = augment(films[i : i + 1], u[i : i + 1], STRONG)
        assert torch.allclose(alone[0], together[i], atol=1e-6)


def test_gradients_pass_to_every_film(films):
    x = films.clone().requires_grad_()
    augment(x, numbers(6), STRONG).square().sum().backward()
    assert torch.isfinite(x.grad).all()
    assert (x.grad.flatten(1).abs().sum(1) > 0).all()


def test_gradient_is_the_derivative():
    x = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    u = numbers(1, seed=4)
    policy = STRONG.model_copy(update={"probability": 1.0})
    target = torch.linspace(-1, 1, 16).reshape(1, 1, 4, 4)
    (augment(x, u, policy) * target).sum().backward()
    step = 0.5  # the augmentation is affine in the film, so any step will do
    for row, column in [(0, 0), (1, 2), (3, 3)]:
        change = torch.zeros_like(x)
        change[0, 0, row, column] = step
        with torch.no_grad():
            moved = ((augment(x + change, u, policy) - augment(x, u, policy)) * target).sum() / step
        assert x.grad[0, 0, row, column].item() == pytest.approx(moved.item(), abs=1e-4)


@pytest.mark.parametrize("policy", [only(), Policy(probability=0)])
def test_nothing_asked_nothing_done(films, policy):
    assert torch.allclose(augment(films, numbers(6), policy), films, atol=1e-5)


def test_brightness_shifts_a_film_as_a_whole(films):
    shift = (augment(films, numbers(6), only(brightness=0.3)) - films).flatten(1)
    assert torch.allclose(shift, shift[:, :1].expand_as(shift), atol=1e-5)
    assert 0 < shift.abs().max() <= 0.3
    assert shift[:, 0].unique().numel() == 6


def test_contrast_keeps_the_mean_and_changes_the_spread(films):
    y = augment(films, numbers(6), only(contrast=0.5))
    assert torch.allclose(y.mean((1, 2, 3)), films.mean((1, 2, 3)), atol=1e-5)
    ratio = y.std((1, 2, 3)) / films.std((1, 2, 3))
    assert (ratio >= 0.5).all()
    assert (ratio <= 1.5).all()
    assert ratio.max() - ratio.min() > 0.1


def test_translation_moves_by_whole_pixels_and_fills_with_black():
    x = torch.full((64, 1, 32, 32), BLACK)
    x[:, :, 16, 16] = 1
    y = augment(x, numbers(64), only(translation=0.25))
    bright = (y > 0.99).nonzero()
    assert len(bright) == 64, "one pixel as bright as before in each film"
    assert torch.allclose(y.sum((1, 2, 3)), x.sum((1, 2, 3)), atol=1e-3), "the rest is black"
    moved = bright[:, 2:] - 16
    assert moved.abs().max() == 8
    assert moved.unique(dim=0).shape[0] > 30
    y = augment(torch.ones(8, 1, 32, 32), numbers(8), only(translation=0.25))
    assert y.unique().sub(BLACK).abs().min() < 1e-6


def test_rotation_and_scale_keep_the_middle_and_the_handedness():
    # A disc in the middle stays; a blot on the right never turns up on the left.
    x = torch.full((32, 1, 33, 33), BLACK)
    x[:, :, 15:18, 24:27] = 1
    y = augment(x, numbers(32), only(rotation=10, scale=0.1)) - BLACK
    columns = torch.arange(33.0)
    centre = (y.sum((1, 2)) * columns).sum(1) / y.sum((1, 2, 3))
    assert (centre > 22).all()
    assert (centre < 28).all()
    rows = (y.sum((1, 3)) * columns).sum(1) / y.sum((1, 2, 3))
    assert rows.max() - rows.min() > 1, "turned both ways"
    mass = y.sum((1, 2, 3)) / (x - BLACK).sum((1, 2, 3))
    assert 0.78 < mass.min() < 0.95
    assert 1.05 < mass.max() < 1.25


def test_rotation_does_not_shear_a_film_that_is_no_square():
    # A quarter turn by hand would leave the frame; a small turn must keep lengths.
    x = torch.full((32, 1, 33, 65), BLACK)
    x[:, :, 16, 12:53] = 1
    y = augment(x, numbers(32), only(rotation=15)) - BLACK
    rows, columns = torch.meshgrid(torch.arange(33.0), torch.arange(65.0), indexing="ij")
    mass = y.sum((1, 2, 3))
    spread = [((y[:, 0] * (a - m) ** 2).sum((1, 2)) / mass) for a, m in ((rows, 16), (columns, 32))]
    assert torch.allclose(sum(spread).sqrt(), torch.full((32,), 11.83), rtol=0.03)


def test_cutout_is_one_grey_rectangle(films):
    hole = augment(films, numbers(6), only(cutout=0.5)) == GREY
    sizes = hole.sum((1, 2, 3))
    assert (sizes >= 64).all(), "a corner at least"
    assert (sizes <= 256).all()
    for film in hole[:, 0]:
        rows, columns = film.any(1).sum(), film.any(0).sum()
        assert film.sum() == rows * columns
    assert hole.flatten(1).unique(dim=0).shape[0] == 6


def test_probability_is_that_of_each_kind_of_change():
    x = torch.rand(400, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    for change in ({"brightness": 0.5}, {"cutout": 0.5}, {"translation": 0.5}):
        y = augment(x, numbers(400), only(**change, probability=0.4))
        share = ((y - x).abs().amax((1, 2, 3)) > 1e-4).float().mean().item()
        assert 0.3 < share < 0.5, change


def test_errors(films):
    with pytest.raises(ConfigError, match="do not belong together"):
        augment(films, numbers(5), Policy())
    with pytest.raises(ConfigError, match="do not belong together"):
        augment(films[0], numbers(1), Policy())
    for wrong in (
        {"brightness": -0.1},
        {"cutout": 0.9},
        {"rotation": 90},
        {"probability": 2},
        {"flip": True},
    ):
        with pytest.raises(ValidationError):
            Policy.model_validate(wrong)
