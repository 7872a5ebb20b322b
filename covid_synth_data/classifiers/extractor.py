"""Fixed features of films for the metrics of fidelity: one frozen network, the same for every generator.

    features = Extractor(device="auto")
    fidelity.frechet_distance(features(real), features(fake))

The default is the benchmark's EfficientNet-Lite0 with ImageNet weights, which come in a package and so are at
hand without a network connection. Distances in its features are not those printed as "FID", which are taken
with Inception v3.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data import machine
from covid_synth_data.errors import ConfigError, MissingExtra, WeightsError

if TYPE_CHECKING:
    import torch

BATCHES: Final = {"cpu": 2}
"""Films per batch by kind of device; 256 elsewhere. Small maps stay in a CPU's own caches."""

DEFAULT: Final = "efficientnet-lite0"


class Extractor:
    """A frozen network, and films resized to its `side`.

    It is EfficientNet-Lite0 with ImageNet weights unless another one is named.
    Attributes: `name` (what the numbers must be recorded with), `layer` (what the features are), `side` (224
    by default), `width` (1280 by default), `device`, `sha256` of the weights file.
    """

    def __init__(
        self, device: str | torch.device = "auto", batch_size: int | None = None, *, network: str = DEFAULT
    ) -> None:
        """Load the network on `device` ("auto": CUDA, MPS or the CPU, the first there is), or a torch.device.

        `batch_size` changes memory and speed, and features by no more than rounding; `network` is one of
        `feature_networks.NETWORKS`. Raises `MissingExtra` without the extra [benchmark], or [extractors] for
        "inception-v3" and "rad-dino", `UnknownName`, `WeightsError` where the weights are not on this
        machine, `ConfigError` for a device that is not there.
        """
        try:
            import torch

            from covid_synth_data.classifiers import feature_networks
        except ModuleNotFoundError as error:
            raise MissingExtra(str(error.name), "benchmark") from error
        if batch_size is not None and batch_size < 1:
            raise ConfigError("no such batch size", found=str(batch_size), expected="1 or more")
        self._named = network
        self.device: torch.device = machine.pick_device(device) if isinstance(device, str) else device
        self.batch_size = batch_size or BATCHES.get(self.device.type, 256)
        built = feature_networks.build(network)
        self.name, self.layer, self.side = built.name, built.layer, built.side
        self.width, self.sha256 = built.width, built.sha256
        module = built.module.requires_grad_(False).to(self.device)
        self._network = module.to(memory_format=torch.channels_last)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the names alone: another process loads the network itself, on a device of the same kind."""
        return _loaded, (self._named, self.device.type, self.batch_size, self.sha256)

    def __call__(self, films: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Features float32 (n, width) of films uint8 (n, h, w) of any size; each row is its film's alone.

        Films are resized to `side` on the device, bilinear with antialiasing, the aspect ratio not kept.
        In full fp32: autocast and the TF32 of cuDNN are off meanwhile. Raises `ConfigError`.
        """
        import torch

        if films.ndim != 3 or films.dtype != np.uint8 or 0 in films.shape[1:]:
            raise ConfigError(
                "films of a wrong kind", found=f"{films.dtype} {films.shape}", expected="uint8 (n, h, w)"
            )
        out = np.empty((len(films), self.width), np.float32)
        # TF32 would cost a distance its last digits, and more on some GPUs than on others.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        plain = torch.autocast(self.device.type, enabled=False)
        with exact, plain, torch.inference_mode():
            for start in range(0, len(films), self.batch_size):
                part = films[start : start + self.batch_size]
                out[start : start + len(part)] = self._features(part).cpu().numpy()
        return out

    def _features(self, films: npt.NDArray[np.uint8]) -> Any:
        """The features (n, width) of one batch, still on the device."""
        import torch
        from torch.nn import functional as F

        pixels = torch.from_numpy(films.copy()).to(self.device)
        shades = pixels.unsqueeze(1).float().div_(255.0)
        size = (self.side, self.side)
        if shades.shape[-2:] != size:
            shades = F.interpolate(shades, size, mode="bilinear", antialias=True, align_corners=False)
        return self._network(shades)


@functools.lru_cache(maxsize=4)
def _loaded(network: str, device: str, batch_size: int, sha256: str) -> Extractor:
    """The extractor that another process pickled. Raises `WeightsError` where the weights here are others."""
    extractor = Extractor(device, batch_size, network=network)
    if extractor.sha256 != sha256:
        raise WeightsError(
            f"other weights of {network} are on this node",
            found=extractor.sha256[:12],
            expected=sha256[:12],
            hint="give every node the same weights and the same version of this package",
        )
    return extractor
