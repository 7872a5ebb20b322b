"""Classifiers: the table of models, their networks and weights, and the feature extractor."""
