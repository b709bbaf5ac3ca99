"""Running experiments: one, a list of them, and the gate over their scores."""
