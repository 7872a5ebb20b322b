"""Figures and image quality of generators."""
