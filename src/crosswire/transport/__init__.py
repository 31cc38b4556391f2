"""What carries WebSocket connections: picows over TCP, TLS and Unix sockets, and an in-memory pair."""
