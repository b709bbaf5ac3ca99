"""Drawing with matplotlib: values in, figure out."""
