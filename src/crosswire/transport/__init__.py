"""Transports of WebSocket connections: picows over TCP, TLS and Unix sockets, and in memory."""
