"""The server: connections, their users and rooms, and the events of clients."""
