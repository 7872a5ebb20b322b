"""The images of a run: composition of the training set, released configs, cached arrays."""
