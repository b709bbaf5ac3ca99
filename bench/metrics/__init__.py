"""Metrics as functions of integer counts; no torch."""
