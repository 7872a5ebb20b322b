"""Painting: pairs of a normal film and the same film with lesions, painted by rules. No weights, no torch."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from covid_synth_data.errors import ConfigError, EmptySplit
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.files.pixels import Grey
from covid_synth_data.release.manifest import MAX_ROWS
from covid_synth_data.schema import LABELS
from covid_synth_data.sources import licences
from generation.data.films import of_class, training_rows
from generation.kinds.kind import Kind
from generation.kinds.maker import Made, Maker, Row, SourceImages, no_lineage
from generation.recipe import HostRecipe

PREFIX: Final = "lesions:"
"""Variant of a painted film: this and the number of its pair. The film as it is has the variant "full"."""

STEP: Final = 17
"""Masks have 16 levels, 0 to 255 in steps of this: a PNG of them has less than half the bytes. They are
rounded up, so that 0 still means that nothing was painted."""


class Painting(Kind):
    """Lesions painted into normal films of training patients (`covid_synth_data.lesions`)."""

    def maker(
        self, recipe: HostRecipe, root: Path | None, weights: Path | None = None, device: str = "auto"
    ) -> Pairs:
        """Pairs of the recipe's hosts. Raises `ConfigError` where weights are given."""
        if weights is not None:
            raise ConfigError(
                f"{recipe.name} paints without weights", found=str(weights), hint="leave out --weights"
            )
        return Pairs(recipe, root)


PAINTING: Final = Painting()


class Pairs(Maker):
    """Rows 2i and 2i + 1 are pair i: a host, and the same host with lesions drawn from (seed, i)."""

    libraries: ClassVar[Sequence[str]] = ("numpy", "scipy", "pillow")

    def __init__(self, recipe: HostRecipe, root: Path | None) -> None:
        """Raises the errors of `films.training_rows`, `EmptySplit` where no film can be painted."""
        data, release = recipe.data, recipe.release
        hosts = of_class(training_rows(data, root), data.host_class)
        if data.public_domain:
            free = [i for i, name in enumerate(hosts["source_license"]) if licences.is_public_domain(name)]
            hosts = hosts.select(free)
        self.name, self.device = f"lesions.{recipe.tag or recipe.name}", f"cpu {platform.machine()}"
        self.seed, self.size, self.pattern = recipe.seed, data.size, release.pattern
        self.subset, self.label, self.batch_size = release.subset, release.label, release.batch_size
        self.host_label = data.host_class
        self.images = SourceImages(hosts)
        self.sources = self.images.fingerprints
        self.licences = sorted(set(hosts["source_license"]))
        painted = self._paintable(release.count)
        self.rows = [
            Row(2 * pair + number, painted[pair % len(painted)], variant)
            for pair in range(release.count)
            for number, variant in enumerate(("full", f"{PREFIX}{pair}"))
        ]

    def _paintable(self, count: int) -> list[int]:
        """At most `count` hosts with two lungs, in an order that the seed draws. Raises `EmptySplit`."""
        order = np.random.default_rng([self.seed]).permutation(len(self.images)).tolist()
        chosen: list[int] = []
        for index in order:
            if len(chosen) == count:
                break
            if not self._paint(self.images.read(index, self.size), 0)[2]["pattern"]:
                continue
            chosen.append(index)
        if not chosen:
            raise EmptySplit(
                "no film can be painted",
                found=f"{len(order)} films of class {self.host_label}, none with two lungs",
                expected="at least one",
                hint="give --root the sets that hold them; data.public_domain = false allows other licences",
            )
        return chosen

    def _paint(self, film: Grey, pair: int) -> tuple[Grey, Grey, dict[str, Any]]:
        """A film with the lesions of `pair`, their map, and the columns that say what was painted."""
        from covid_synth_data import lesions

        painted = lesions.paint(film[None], seed=self.seed, pattern=self.pattern, indices=[pair])
        record = painted.records[0]
        return painted.films[0], painted.maps[0], {"pattern": record.pattern, "extent": float(record.extent)}

    def make(self, rows: Sequence[Row]) -> contextlib.closing[Generator[Made]]:
        """Paint the rows one by one, in batches."""
        return contextlib.closing(self._make(rows))

    def _make(self, rows: Sequence[Row]) -> Generator[Made]:
        for start in range(0, len(rows), self.batch_size):
            made = [self._one(row) for row in rows[start : start + self.batch_size]]
            yield Made(np.stack([image for image, _ in made]), [columns for _, columns in made])

    def _one(self, row: Row) -> tuple[Grey, dict[str, Any]]:
        assert row.source is not None  # noqa: S101 - every row of this kind has one
        film = self.images.read(row.source, self.size)
        mask, columns = np.zeros_like(film), {"pattern": "", "extent": 0.0}
        if row.variant != "full":
            film, mask, columns = self._paint(film, int(row.variant.removeprefix(PREFIX)))
        coarse = (np.ceil(mask / STEP) * STEP).astype(np.uint8)
        cell = {"bytes": encode_image(coarse, "png", 0), "path": f"{self.subset}-{row.index:05d}-mask.png"}
        return film, {"mask": cell, **columns}

    def columns(self, row: Row) -> dict[str, Any]:
        """Those of the host; the label of a host that was not painted is its own."""
        assert row.source is not None  # noqa: S101 - every row of this kind has one
        label = self.host_label if row.variant == "full" else self.label
        return {
            **self.images.lineage(row.source),
            "variant": row.variant,
            "label": LABELS.index(label),
            "pair_id": f"{self.subset}-{row.index // 2:05d}",
        }

    def read_row(self, record: dict[str, Any], index: int) -> Row:
        """The host and the pair that a record names."""
        source, variant = self.images.find(record), str(record["variant"])
        number = variant.removeprefix(PREFIX)
        known = number.isascii() and number.isdigit() and len(number) < 9 and int(number) < MAX_ROWS
        if variant != "full" and not (variant.startswith(PREFIX) and known):
            raise no_lineage(record, f"full or {PREFIX}PAIR")
        return Row(index, source, variant)

    def used(self) -> set[str]:
        """The hosts of the rows."""
        return self.images.used(self.rows)
