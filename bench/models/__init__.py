"""Interfaces of networks and classical detectors, losses, and published numbers."""
