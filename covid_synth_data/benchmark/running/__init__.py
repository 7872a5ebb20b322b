"""Runs of a suite: planned, costed, and done here or on a Ray cluster."""
