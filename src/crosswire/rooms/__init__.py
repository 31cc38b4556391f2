"""Who is where, and how one message becomes one frame for all of them. Knows no sockets and no cluster."""
