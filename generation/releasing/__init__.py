"""Releases: built, documented, published, and made again."""
