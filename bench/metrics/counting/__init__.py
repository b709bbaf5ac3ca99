"""Counting one prediction against one mask: components, matching, thresholds."""
