"""Commands that tests of bad input give."""

from __future__ import annotations

NAME = "cyclegan-unet.tiny"


def mix_of(world, *more):
    return ("mix", "normal-vs-covid", "--root", world.root, "--release", world.release, *more)


def sample_of(world, *more):
    out = world.folder / "out"
    return ("sample", NAME, "--release", world.release, "--from", world.films, "-o", out, *more)
