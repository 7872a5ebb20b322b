"""The training loop that all families share: checkpoints, logs, evaluations, lineage."""
