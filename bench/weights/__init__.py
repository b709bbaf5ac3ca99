"""Files of weights: ours, published ones, and how either becomes a network."""
