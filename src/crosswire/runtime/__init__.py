"""Tools for the event loop that every asynchronous layer needs: background tasks, timers, calls of handlers."""
