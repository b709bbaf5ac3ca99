"""Training: the loop, its losses so far and its counts on the device."""
