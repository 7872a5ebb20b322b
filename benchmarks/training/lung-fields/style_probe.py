"""How well a linear probe tells two sets of real films apart, under each preprocessing; writes style.json.

    python benchmarks/training/lung-fields/style_probe.py DIR

"style" sees grey levels, power per size of detail and the mean of each edge; "layout" a thumbnail of 16 x 16
pixels. AUC over five folds of 120 films of each set. Films of one patient may be in two folds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from covid_synth_data.files.pixels import load_grey
from covid_synth_data.preprocessing import films as preprocessing
from covid_synth_data.sources import read_source

FILMS = 120
SIDE = 128


def sets(root: Path) -> dict[str, list[str]]:
    """Paths of the films of each set."""
    radiography = read_source("radiography", root)
    kermany = read_source("kermany", root)
    found = {
        "Hannover COVID-19": read_source("covid-19-image-repository", root),
        "radiography COVID-19": radiography[radiography["label"] == "covid-19"],
        "Kermany normal (children)": kermany[kermany["label"] == "normal"],
        "radiography normal (RSNA, adults)": radiography[
            (radiography["label"] == "normal") & (radiography["excluded"] == "")
        ],
    }
    rng = np.random.default_rng(0)
    chosen = {}
    for name, frame in found.items():
        paths = sorted(frame[frame["path"] != ""]["path"])
        if "RSNA" in name:  # file numbers 63 to 1403 are Kermany's children
            paths = [path for path in paths if not 63 <= int(Path(path).stem.split("-")[1]) <= 1403]
        chosen[name] = [paths[i] for i in rng.permutation(len(paths))[:FILMS]]
    return chosen


def style(film: np.ndarray) -> np.ndarray:
    """Grey levels, power per size of detail, mean of each edge."""
    values = film.astype(float)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE) * SIDE, np.fft.fftfreq(SIDE) * SIDE))
    power = np.abs(np.fft.fft2(values - values.mean())) ** 2
    bands = np.digitize(frequency, np.linspace(0, SIDE / 2, 13))
    edges = [part.mean() for part in (values[:4], values[-4:], values[:, :4], values[:, -4:])]
    logs = [np.log(power[bands == band].mean() + 1) for band in range(1, 13)]
    return np.concatenate([np.histogram(values, 16, (0, 256))[0] / values.size, logs, edges])


def layout(film: np.ndarray) -> np.ndarray:
    """A thumbnail."""
    return np.asarray(Image.fromarray(film).resize((16, 16), Image.Resampling.BOX), float).ravel()


def auc(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    """Of a linear probe on held-out folds."""
    labels = np.repeat([0, 1], [len(first), len(second)])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    probabilities = cross_val_predict(
        model, np.stack(first + second), labels, cv=folds, method="predict_proba"
    )
    return round(float(roc_auc_score(labels, probabilities[:, 1])), 3)


def main() -> None:
    """Measure and write."""
    chosen = sets(Path(sys.argv[1]))
    names = list(chosen)
    films = {name: [load_grey(path) for path in paths] for name, paths in chosen.items()}
    aucs = {}
    for kind in preprocessing.KINDS:
        start = time.process_time()
        prepared = {
            name: [preprocessing.prepare(grey, SIDE, kind) for grey in greys] for name, greys in films.items()
        }
        milliseconds = (time.process_time() - start) * 1000 / (FILMS * len(names))
        looks = {
            what: {name: [see(one.pixels) for one in some] for name, some in prepared.items()}
            for what, see in (("style", style), ("layout", layout))
        }
        aucs[kind] = {
            "version": preprocessing.version(kind),
            "milliseconds_per_film": round(milliseconds, 1),
            "not_found": {name: sum(not one.found for one in some) for name, some in prepared.items()},
            "auc": [
                {"first": a, "second": b, **{what: auc(seen[a], seen[b]) for what, seen in looks.items()}}
                for a, b in ((names[i], names[j]) for i, j in ((0, 1), (2, 3), (1, 3), (0, 3)))
            ],
        }
    content = {"films_per_set": FILMS, "side": SIDE, "preprocessing": aucs}
    (Path(__file__).parent / "style.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
