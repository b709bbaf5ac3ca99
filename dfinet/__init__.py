"""DFINet: the dynamic feedback iterative network, its blocks, its feedback and its ablations."""
