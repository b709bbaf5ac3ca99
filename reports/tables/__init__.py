"""Tables as rows and cells, not yet in any format."""
