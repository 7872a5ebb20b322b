"""A look at a release: one page with all its images, which needs no server and no network.

    write_page(Path("covid-synth-cxr"), Path("explore.html"))

`reading` takes rows and thumbnails from the shards, `sheets` packs thumbnails into sprite sheets and finds
the nearest neighbours, `page` writes the HTML file.
"""

from covid_synth_data.explore.page import write_page

__all__ = ["write_page"]
