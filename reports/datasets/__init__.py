"""Tables and pages about datasets."""
