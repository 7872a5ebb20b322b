"""One module per family of generators, and their losses."""
