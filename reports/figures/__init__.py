"""Figures of journal quality as matplotlib Figure objects: no pyplot, no display, the same bytes every time."""
