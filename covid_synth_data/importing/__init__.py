"""Images that another generator made, brought into a release folder that every part of the package takes.

    import_images(path, out, config="mine", label="covid-19")

`reading` finds the images and the statements about each, `lineage` holds the statements about all of them,
`converting` writes the release, `copies_of_real` compares with real films.
"""

from covid_synth_data.importing.converting import import_images
from covid_synth_data.importing.lineage import Stated

__all__ = ["Stated", "import_images"]
