from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image

from covid_synth_data.schema import LABELS
from covid_synth_data.sources.phantom import layers
from covid_synth_data.sources.phantom.anatomy import Anatomy, Space, anatomy
from covid_synth_data.sources.phantom.disease import opacities, replaced_air
from covid_synth_data.sources.phantom.film import expose, film_settings

def draw(label, size, seed, patient, film):
    grid = max(size, 128)
    code = LABELS.index(label)
    body = anatomy(np.random.default_rng([seed, code, patient, 1]))
    disease = opacities(label, body, np.random.default_rng([seed, code, patient, 2]))
    settings = film_settings(np.random.default_rng([seed, code, patient, 3, film]))
    space = Space(grid, settings.matrix)
    lung = layers.lungs(body, space)
    tex = space.canvas(layers.texture(body.texture_seed, grid))
    tree = space.canvas(layers.vessels(body.texture_seed, grid))
    gone = replaced_air(disease, space, tex, settings.strength)
    att = layers.chest_wall(body, space, lung)
    inside = np.minimum(att, 1)
    att = att - lung.air * (1 - gone)
    heart = layers.silhouettes(body, space, settings.heart_scale)
    att += heart
    att += lung.field * (0.26 * tree * (1 - gone) + 0.018 * tex)
    att += layers.bones(body, space)
    att -= layers.airways(body, space)
    att = np.maximum(att, 0)
    shown = expose(att, settings)
    if grid != size:
        shown = np.asarray(Image.fromarray(shown).resize((size, size), Image.Resampling.BOX))
    return shown
