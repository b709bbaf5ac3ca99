"""Datasets examined: leaks, near duplicates, statistics."""
