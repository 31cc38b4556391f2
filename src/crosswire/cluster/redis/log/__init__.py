"""Logs of rooms that are kept in Redis."""
