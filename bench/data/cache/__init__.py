"""Decoded images kept on disk, found by the contents of their files."""
