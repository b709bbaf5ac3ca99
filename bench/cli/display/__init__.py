"""Display of a run: its rows on the terminal or as plain lines, and in a log file."""
