"""Where a classifier looks, and how its features lie."""
