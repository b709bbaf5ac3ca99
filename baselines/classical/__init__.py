"""Classical detectors: score maps from a single image by hand-made rules, nothing learnt."""
