"""What a method promises: networks, classical detectors, losses and published numbers."""
