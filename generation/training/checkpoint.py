"""Checkpoints: one folder per saved step, safetensors and JSON only, written completely or not at all."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim import Optimizer

from covid_synth_data.errors import WeightsError
from covid_synth_data.files.atomic import flush, output_errors

KEEP = 2
_NAME = re.compile(r"^step-(\d{8})$")


def save(
    folder: Path,
    step: int,
    networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    state: Mapping[str, Any],
) -> None:
    """Write `folder`/step-NNNNNNNN. It is made under another name and moved, so it is never half there."""
    tensors, groups = _flatten(networks, optimizers)
    final = folder / f"step-{step:08d}"
    partial = folder / f".step-{step:08d}.tmp"
    with output_errors(final):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            save_file(tensors, partial / "tensors.safetensors")
            text = json.dumps({"step": step, "groups": groups, **state})
            (partial / "state.json").write_text(text, encoding="utf-8", newline="")
            for name in ("tensors.safetensors", "state.json"):
                flush(partial / name)
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
        except SafetensorError as error:  # how safetensors reports a full disk
            raise OSError(28 if "space" in str(error) else 5, str(error)) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    for old in sorted(saved_steps(folder))[:-KEEP]:
        shutil.rmtree(folder / f"step-{old:08d}", ignore_errors=True)


def saved_steps(folder: Path) -> list[int]:
    """The saved steps in `folder`, oldest first."""
    names = [_NAME.match(path.name) for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(match.group(1)) for match in names if match)


def read_state(folder: Path, step: int) -> dict[str, Any]:
    """The JSON part of a checkpoint. Raises `WeightsError`."""
    path = folder / f"step-{step:08d}" / "state.json"
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"cannot read the checkpoint {path}", found=str(error), hint=f"delete {path.parent} and run again"
        ) from error
    return state


def restore(
    folder: Path, step: int, networks: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]
) -> None:
    """Put a checkpoint into networks and optimisers. Raises `WeightsError` when it does not fit."""
    path = folder / f"step-{step:08d}" / "tensors.safetensors"
    groups = read_state(folder, step)["groups"]
    try:
        tensors = load_file(path)
        for name, network in networks.items():
            network.load_state_dict(_below(tensors, f"net/{name}/"))
        for name, optimizer in optimizers.items():
            values: dict[int, dict[str, torch.Tensor]] = {}
            for key, tensor in _below(tensors, f"optim/{name}/").items():
                index, _, slot = key.partition("/")
                values.setdefault(int(index), {})[slot] = tensor
            optimizer.load_state_dict({"state": values, "param_groups": groups[name]})
            _lay_out(optimizer)
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise WeightsError(
            f"cannot continue from the checkpoint {path.parent}",
            found=" ".join(str(error).split())[:200],
            hint=f"delete {path.parent} to continue from the one before",
        ) from error


def _lay_out(optimizer: Optimizer) -> None:
    """Give an optimiser's state the memory layout of its parameters: fused kernels walk them side by side.

    A checkpoint holds plain layouts, and a channels-last parameter beside a plain average would be mixed up.
    """
    for parameter, slots in optimizer.state.items():
        for slot, value in slots.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                slots[slot] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _flatten(
    networks: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    tensors: dict[str, torch.Tensor] = {}
    groups: dict[str, Any] = {}
    for name, network in networks.items():
        tensors |= {f"net/{name}/{key}": value for key, value in network.state_dict().items()}
    for name, optimizer in optimizers.items():
        state = optimizer.state_dict()
        groups[name] = state["param_groups"]
        for index, slots in state["state"].items():
            tensors |= {f"optim/{name}/{index}/{slot}": value for slot, value in slots.items()}
    return {key: value.detach().cpu().contiguous() for key, value in tensors.items()}, groups


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
