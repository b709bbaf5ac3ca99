"""Results read from files and grouped for tables and figures."""
