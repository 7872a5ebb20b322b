"""Preprocessing of radiographs before classification: plain, re-encoded, harmonised, or the lungs alone."""
