"""`covid-synth export`: a config or a task for tools that read MedMNIST files or folders of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from covid_synth_data.cli.common import Release, Root, Seed, progress_bar, say
from covid_synth_data.errors import ConfigError, UnknownName

app = typer.Typer()


@app.command()
def export(
    out: Annotated[Path, typer.Option("-o", "--out", help="the .npz file, or the folder")],
    config: Annotated[str | None, typer.Option(help="a config of a release")] = None,
    task: Annotated[str | None, typer.Option(help="or a task of real films, in its three parts")] = None,
    kind: Annotated[str, typer.Option("--format", help="npz, as MedMNIST has it, or imagefolder")] = "npz",
    size: Annotated[
        int | None, typer.Option(help="npz: 28, 64, 128 or 224 (the default); imagefolder: any side")
    ] = None,
    release: Release = None,
    root: Root = None,
    protocol: Annotated[str | None, typer.Option(help="of the task; without it, its first")] = None,
    seed: Seed = 0,
) -> None:
    """Write a config or a task as a MedMNIST-like npz file, or as folders of images with metadata.csv."""
    import covid_synth_data as csd

    if kind not in ("npz", "imagefolder"):
        raise UnknownName("format", kind, ["npz", "imagefolder"])
    if (config is None) == (task is None):
        raise ConfigError(
            "what to export is not clear",
            found="both" if config else "neither",
            expected="--config NAME or --task NAME",
        )
    data: Any
    if task is not None:
        data = csd.load_task(task, root, protocol, seed=seed)
    else:
        data = csd.load_dataset("covid-synth-cxr", config, root=release)
    with progress_bar("exporting") as tick:
        if kind == "npz":
            csd.write_npz(data, out, 224 if size is None else size, tick)
        else:
            csd.write_image_folder(data, out, size, tick)
    rows = sum(len(part) for part in data.values()) if task is not None else len(data)
    say(f"{rows:,} images in {out}")
    if task is not None:
        say("they are real films: the licences of their sources decide whom you may give them to")
