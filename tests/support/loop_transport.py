"""A stand-in for the transport of an event loop."""

from __future__ import annotations

from typing import Any


class FakeTransport:
    """The event loop's transport, as far as a connection is read from. It sends nothing.

    Args:
        own: its socket.
    """

    def __init__(self, own: object) -> None:
        self._own = own
        self.reading = True
        self.closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._own if name == "socket" else default

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write(self, data: bytes) -> None:
        """Discard it."""

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True
