"""Datasets brought into the data folder: fetched, unpacked, converted, verified."""
