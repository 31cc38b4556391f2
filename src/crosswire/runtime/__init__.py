"""What every asynchronous layer needs from the event loop: guarded tasks and cheap timers."""
