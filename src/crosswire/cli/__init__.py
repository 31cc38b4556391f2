"""The command line: runs servers in processes that share a port, and talks to the nodes of a cluster."""
