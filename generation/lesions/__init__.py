"""Fitting of the distributions that lesions are painted from."""
