"""Tables and pages written as LaTeX, CSV, Markdown and HTML."""
