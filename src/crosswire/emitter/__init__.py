"""Sending to clients and nodes from programs without an event loop, over Redis."""
