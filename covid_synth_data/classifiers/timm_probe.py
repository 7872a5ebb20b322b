"""Any network of timm with pretrained weights as a classifier: fixed features and logistic regression.

    --model timm:convnext_tiny.fb_in1k

The network's weights stay as they are; what is fitted is a linear layer on its pooled features. So a suite
runs on any of timm's networks without a GPU, and the answer does not depend on a seed.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from covid_synth_data.errors import MissingExtra, UnknownName, WeightsError
from covid_synth_data.files.pixels import Grey

if TYPE_CHECKING:
    from torch import nn

PREFIX: Final = "timm"

ENVIRONMENT: Final = "COVID_SYNTH_TIMM"
"""A folder with NAME.safetensors or NAME.bin. What is not there comes from the Hub's cache, or the Hub."""

_BATCH: Final = 32


class Probe:
    """The classifier of the contract in `own`."""

    def __init__(self, name: str) -> None:
        """`name` is one of `timm.list_pretrained()`. Raises `WeightsError` where its weights are absent."""
        self.name = name
        self.model, self.settings = _loaded(name)

    def fit(
        self, films: Grey, labels: npt.NDArray[np.int64], sample_weight: npt.NDArray[np.float32]
    ) -> Probe:
        """Learn from films (n, side, side)."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        self.head.fit(self.features(films), labels, logisticregression__sample_weight=sample_weight)
        self.classes_ = self.head.classes_
        return self

    def predict_proba(self, films: Grey) -> npt.NDArray[np.float64]:
        """Probabilities (n, classes)."""
        return np.asarray(self.head.predict_proba(self.features(films)), np.float64)

    def features(self, films: Grey) -> npt.NDArray[np.float32]:
        """Pooled features (n, d) of films uint8 (n, side, side); those of a film are kept for the process."""
        keys = [hashlib.sha256(film.tobytes() + str(film.shape).encode()).digest() for film in films]
        known = _KEPT.setdefault(self.name, {})
        fresh = {key: row for row, key in enumerate(keys) if key not in known}
        rows = list(fresh.values())
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            for row, values in zip(part, self._run(films[part]), strict=True):
                known[keys[row]] = values
        return np.stack([known[key] for key in keys])

    def _run(self, films: Grey) -> npt.NDArray[np.float32]:
        import torch

        _, height, width = self.settings["input_size"]
        resized = [
            np.asarray(Image.fromarray(film).resize((width, height), Image.Resampling.BICUBIC))
            for film in films
        ]
        grey = torch.from_numpy(np.stack(resized)).float().div(255)[:, None].expand(-1, 3, -1, -1)
        mean, spread = (torch.tensor(self.settings[name])[None, :, None, None] for name in ("mean", "std"))
        with torch.inference_mode():
            return np.asarray(self.model((grey - mean) / spread).float().numpy(), np.float32)


_KEPT: dict[str, dict[bytes, npt.NDArray[np.float32]]] = {}
"""Name of a network to the features of a film, by its pixels: every regime and seed has the same films."""


def check(name: str) -> None:
    """Raise `UnknownName` where timm has no such pretrained network, `MissingExtra` without timm."""
    try:
        import timm
    except ModuleNotFoundError as error:
        raise MissingExtra("timm", "benchmark") from error
    if name not in timm.list_pretrained():
        raise UnknownName("pretrained network of timm", name, timm.list_pretrained())


def digest(name: str) -> str:
    """sha256 over the weights of the network, whatever file they came in. Raises `WeightsError`."""
    total = hashlib.sha256()
    for key, value in sorted(_loaded(name)[0].state_dict().items()):
        total.update(key.encode())
        total.update(value.contiguous().numpy().tobytes())
    return total.hexdigest()


@cache
def _loaded(name: str) -> tuple[nn.Module, dict[str, Any]]:
    """The network without its last layer, and the size, mean and spread that it wants of its input."""
    import timm
    from timm.data.config import resolve_model_data_config

    check(name)
    file = _file(name)
    overlay = {} if file is None else {"file": str(file)}
    try:
        model = timm.create_model(name, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay)
    except Exception as error:
        # The Hub's client, safetensors and torch raise many kinds for what is absent, cut or does not fit.
        raise WeightsError(
            f"the weights of timm's {name} cannot be loaded",
            found=(str(error).splitlines() or [type(error).__name__])[0][:200],
            expected=f"them in the Hub's cache, or {name}.safetensors in the folder that {ENVIRONMENT} names",
            hint=f"run once with a network, or set {ENVIRONMENT}",
        ) from error
    settings: dict[str, Any] = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    return model.eval(), settings


def _file(name: str) -> Path | None:
    folder = os.environ.get(ENVIRONMENT)
    files = [Path(folder) / f"{name}{ending}" for ending in (".safetensors", ".bin")] if folder else []
    return next((file for file in files if file.is_file()), None)
