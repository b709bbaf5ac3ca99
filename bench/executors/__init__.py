"""Ways to run a list of experiments somewhere, resume them and survive failures."""
