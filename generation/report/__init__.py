"""Figures and image quality of generators, and their commands."""
