"""`python -m bench` is `dfinet-bench`."""

from bench.cli import main

main()
