"""What all tests need."""

from __future__ import annotations

import signal

# What a shell runs in the background ignores Ctrl-C, and so would the programs that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
