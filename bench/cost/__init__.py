"""Cost of a method: parameters, multiply-accumulates, latency, memory."""
