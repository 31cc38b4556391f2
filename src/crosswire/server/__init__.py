"""The server: joins rooms, transport and events."""
