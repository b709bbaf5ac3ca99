"""Parts that several classical detectors share."""
