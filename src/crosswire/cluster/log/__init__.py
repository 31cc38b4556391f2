"""The logs of rooms that keep history: their interface, in this process, and in Redis."""
