"""Experiments as tasks of a Ray cluster: the request, the connection, the driver's side, the side of the tasks."""
