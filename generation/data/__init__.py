"""Training data of the generators: images, slices, batches."""
