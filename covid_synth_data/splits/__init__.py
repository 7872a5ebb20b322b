"""Splits of tasks: classes, duplicates, leaks, and one protocol per paper."""
