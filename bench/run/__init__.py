"""Experiments: run one, run a list of them, and compare their scores with a reference."""
