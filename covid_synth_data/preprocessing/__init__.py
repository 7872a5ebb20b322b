"""Preprocessing of radiographs before classification: plain, harmonised, or the lungs alone."""
