"""Training of one classifier: fitting, augmentation, trees, and the worker that does one run."""
