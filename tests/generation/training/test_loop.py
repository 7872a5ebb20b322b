"""Training: falls, repeats, goes on after a stop bit for bit, refuses what does not belong together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from covid_synth_data.errors import ConfigError, DivergedError, OutputError, WeightsError
from covid_synth_data.generators import weights
from generation.families import cyclegan
from generation.training import checkpoint, loop
from tests.generation.tiny import Stopped, stop_at

ROOT = Path(__file__).resolve().parents[3]


def run(recipe, films, folder: Path, progress=lambda *_: None) -> loop.FinishedRun:
    return loop.train(recipe, films, folder, loop.make_fabric(recipe, "cpu"), progress)


def test_a_run_leaves_weights_metrics_and_samples(recipe, films, tmp_path):
    done = run(recipe, films, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(6))
    assert all(
        np.isfinite(line[name]) for line in lines for name in ("adversarial", "cycle", "identity", "critic")
    )
    with Image.open(tmp_path / "samples" / "step-00000006.png") as sheet:
        assert sheet.size[0] > 5 * 32
    tensors, card = weights.read(done.weights)
    assert card.name == "cyclegan-unet.tiny"
    assert card.training["films"] == {"normal": 8, "covid-19": 8}
    assert card.licences == ["CC0 1.0"]
    assert "last.weight" in tensors


def test_losses_fall(altered, films, tmp_path):
    longer = altered(training={"epochs": 30, "learning_rate": 2e-3})
    run(longer, films, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    first, last = (np.mean([line["cycle"] for line in part]) for part in (lines[:6], lines[-6:]))
    assert last < 0.6 * first


@pytest.mark.parametrize("step", [1, 3, 5])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_stopped_and_continued_is_the_same_run(altered, films, tmp_path, step, ema):
    recipe = altered(training={"ema": ema})
    whole = run(recipe, films, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(recipe, films, tmp_path / "parts", stop_at(step))
    parts = run(recipe, films, tmp_path / "parts")
    assert whole.weights.read_bytes() == parts.weights.read_bytes()
    assert (tmp_path / "whole/metrics.jsonl").read_text() == (tmp_path / "parts/metrics.jsonl").read_text()
    newest = [
        load_file(folder / "checkpoints" / "step-00000006" / "tensors.safetensors")
        for folder in (tmp_path / "whole", tmp_path / "parts")
    ]
    assert newest[0].keys() == newest[1].keys()
    assert all(torch.equal(newest[0][key], newest[1][key]) for key in newest[0])


@pytest.mark.slow
def test_killed_process_goes_on(recipe_file, tmp_path):
    """kill -9 at a random moment, twice; the end is that of a run left alone."""
    text = recipe_file.read_text().replace("epochs = 3", "epochs = 25").replace("3600", "1")
    recipe_file = tmp_path / "tiny.toml"
    recipe_file.write_text(text)
    command = [sys.executable, "-m", "generation", "train", str(recipe_file), "--device", "cpu", "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=environment, capture_output=True)
    for kill in range(2):
        process = subprocess.Popen(
            [*command, str(tmp_path / "killed")],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        metrics = tmp_path / "killed" / "metrics.jsonl"
        wanted, deadline = 20 * (kill + 1), time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if metrics.is_file() and len(metrics.read_text().splitlines()) >= wanted:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([*command, str(tmp_path / "killed")], check=True, env=environment, capture_output=True)
    assert (tmp_path / "whole/tiny.safetensors").read_bytes() == (
        tmp_path / "killed/tiny.safetensors"
    ).read_bytes()
    assert (tmp_path / "whole/metrics.jsonl").read_text() == (tmp_path / "killed/metrics.jsonl").read_text()


def test_two_devices_do_what_one_does(recipe, recipe_file, films, tmp_path):
    """Gradients are averaged over processes: the same losses to rounding, whatever the number of devices."""
    run(recipe, films, tmp_path / "one")
    script = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
from generation import recipe
from generation.data import films
from generation.training import loop
if __name__ == "__main__":
    loaded = recipe.load_recipe(Path({str(recipe_file)!r}))
    fabric = loop.make_fabric(loaded, "cpu", devices=2)
    fabric.launch()
    both = [films.TrainingImages(label, np.load({str(tmp_path)!r} + f"/{{label}}.npy"), [label], [])
            for label in ("normal", "covid-19")]
    loop.train(loaded, both, Path({str(tmp_path / "two")!r}), fabric, lambda *_: None)
"""
    for side in films:
        np.save(tmp_path / f"{side.label}.npy", side.pixels)
    (tmp_path / "two.py").write_text(script)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "two.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    tables = [
        [
            list(json.loads(line).values())
            for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        ]
        for name in ("one", "two")
    ]
    first_losses = np.array([table[0][2:] for table in tables])
    assert tables[0][0][:2] == tables[1][0][:2]
    # Rank 0 logs the losses of its half of the batch: close to, not the same as, those of the whole batch.
    assert np.allclose(first_losses[0], first_losses[1], rtol=0.5)
    ends = [load_file(tmp_path / name / "tiny.safetensors") for name in ("one", "two")]
    assert all(torch.allclose(ends[0][k].float(), ends[1][k].float(), atol=2e-3) for k in ends[0])


def test_another_recipe_is_refused_and_nothing_is_lost(recipe, altered, films, tmp_path):
    done = run(recipe, films, tmp_path)
    before = done.weights.read_bytes()
    with pytest.raises(ConfigError, match="another recipe"):
        run(altered(seed=4), films, tmp_path)
    with pytest.raises(ConfigError, match="other training films"):
        run(recipe, (films[1], films[0]), tmp_path)
    assert done.weights.read_bytes() == before


def test_what_does_not_change_the_weights_may_change(altered, recipe, films, tmp_path):
    run(recipe, films, tmp_path)
    run(altered(training={"looks": 2}, release={"count": 5}), films, tmp_path)


def test_divergence_is_noticed_and_the_last_checkpoint_kept(recipe, films, tmp_path, monkeypatch):
    calls = []

    def exploding(again: torch.Tensor, film: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        loss = (again - film).abs().mean()
        return loss * float("inf") if len(calls) > 12 else loss

    monkeypatch.setattr(cyclegan, "cycle_loss", exploding)
    with pytest.raises(DivergedError, match="diverged at step 3"):
        run(recipe, films, tmp_path)
    kept = checkpoint.saved_steps(tmp_path / "checkpoints")
    tensors = load_file(tmp_path / "checkpoints" / f"step-{kept[-1]:08d}" / "tensors.safetensors")
    assert kept
    assert all(torch.isfinite(value).all() for value in tensors.values())
    assert not (tmp_path / "tiny.safetensors").exists()


def test_a_damaged_checkpoint_is_named(recipe, films, tmp_path):
    with pytest.raises(Stopped):
        run(recipe, films, tmp_path, stop_at(5))
    path = tmp_path / "checkpoints" / "step-00000004" / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="step-00000004"):
        run(recipe, films, tmp_path)


def test_a_full_disk_leaves_the_earlier_checkpoint(recipe, films, tmp_path, monkeypatch):
    with pytest.raises(Stopped):
        run(recipe, films, tmp_path, stop_at(2))
    before = checkpoint.saved_steps(tmp_path / "checkpoints")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OutputError, match="no space left"):
        run(recipe, films, tmp_path)
    assert checkpoint.saved_steps(tmp_path / "checkpoints") == before
    assert not list((tmp_path / "checkpoints").glob(".*"))


def test_the_global_random_state_is_untouched(recipe, films, tmp_path):
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002
    expected = torch.rand(1), np.random.rand()  # noqa: NPY002
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002
    run(recipe, films, tmp_path)
    assert (torch.rand(1), np.random.rand()) == expected  # noqa: NPY002


def test_a_second_training_in_the_folder_is_refused_meanwhile(recipe, films, tmp_path):
    refused = []

    def progress(done: int, total: int, text: str) -> None:
        if not refused:
            with pytest.raises(OutputError, match=r"in use; found a training by process \d+"):
                run(recipe, films, tmp_path / "run")
            refused.append(done)

    run(recipe, films, tmp_path / "run", progress)
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 6
