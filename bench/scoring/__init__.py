"""Probability maps against masks under named rules."""
