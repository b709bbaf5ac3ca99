"""Rival networks, one self-contained file each."""
