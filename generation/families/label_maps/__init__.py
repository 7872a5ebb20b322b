"""Families that draw CT slices from label maps (jiang2020 and its baselines)."""
