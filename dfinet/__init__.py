"""DFINet: the dynamic feedback iterative network, its blocks and releases, its feedback, and FANet before it."""
