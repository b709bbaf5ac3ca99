"""Datasets: cards and splits, decoding, verification, the synthetic generator, batches."""
