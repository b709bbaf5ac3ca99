"""Bundles: one archive that runs suites on a machine without network, in slices of minutes, and takes results back."""
