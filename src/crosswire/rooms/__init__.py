"""Rooms and users of one server, and fan-out: a message becomes one frame for all. Knows no sockets and no cluster."""
