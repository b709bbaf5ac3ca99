"""What a method costs: parameters, multiply-adds, latency, memory."""
