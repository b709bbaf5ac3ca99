"""Rules with names: protocols, recipes and scorings, and how a field of one is changed."""
