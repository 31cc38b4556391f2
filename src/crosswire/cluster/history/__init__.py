"""History of rooms on one node: which namespaces keep it, how messages get into the logs, and the ends of the logs."""
