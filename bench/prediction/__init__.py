"""Probability maps from networks and detectors, and a detector's threshold."""
