"""Suites: files that name experiments, and what they expand to."""
