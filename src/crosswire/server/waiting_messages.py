"""The messages of one connection that wait; while they are many, its client is not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crosswire.core.codecs import Codec
from crosswire.core.limits import Limits
from crosswire.server.backlog import Backlog, WaitingMessage
from crosswire.server.connected_client import ConnectedClient
from crosswire.server.held_messages import HeldLimits
from crosswire.server.running_handlers import RunningHandlers
from crosswire.server.socket import Socket

HandleMessage = Callable[[Codec, str | bytes], object]


class WaitingMessages:
    """Messages that wait until a connection is let in, or until there is room for their handlers.

    ``Limits.max_message`` bytes may wait, and less while the handlers at work hold much; then reading pauses, and the
    client is held back. While the client is called, more may wait: its answer may be behind them.

    Args:
        handlers: handlers at work for the connection.
        limits: the server's.
        held: limits on the memory of the messages.
    """

    __slots__ = ("_backlog", "_handlers", "_held", "_limits")

    def __init__(self, handlers: RunningHandlers, limits: Limits, held: HeldLimits) -> None:
        self._handlers = handlers
        self._limits = limits
        self._held = held
        self._backlog: Backlog | None = None

    def __len__(self) -> int:
        return 0 if self._backlog is None else len(self._backlog)

    def add(self, client: ConnectedClient[Socket], size: int, handle: Callable[..., object], *arguments: Any) -> None:
        """Append a message of ``size`` bytes, which ``handle(*arguments)`` will handle."""
        if self._backlog is None:
            self._backlog = Backlog()
        self._backlog.add(size, handle, *arguments)
        self.pause_if_full(client)

    def add_message(
        self, client: ConnectedClient[Socket], handle: HandleMessage, codec: Codec, data: str | bytes
    ) -> None:
        """Append a message of the client."""
        if isinstance(data, bytes) or data.isascii():
            self.add(client, len(data), handle, codec, data)
        else:  # as a str it could take four times as much
            text = data.encode()
            self.add(client, len(text), _handle_text, codec, text, handle)

    def put_back(self, needs: int, handle: HandleMessage, codec: Codec, data: str | bytes) -> None:
        """Put a message in front: its handlers will take ``needs`` bytes, and there are not as many now."""
        if self._backlog is None:
            self._backlog = Backlog()
        if isinstance(data, bytes) or data.isascii():
            self._backlog.put_back(len(data), needs, handle, codec, data)
        else:
            text = data.encode()
            self._backlog.put_back(len(text), needs, _handle_text, codec, text, handle)

    def handle_next(self) -> None:
        """Remove the first message and handle it."""
        assert self._backlog is not None, "there is one"
        self._backlog.handle_next()

    def remove_messages(self, is_done: Callable[[Codec, bytes | str], bool]) -> None:
        """Remove the messages of the client for which ``is_done`` returns True."""

        def is_message_done(waiting: WaitingMessage) -> bool:
            codec, data = waiting.arguments[:2]
            return isinstance(data, str | bytes) and is_done(codec, data)

        if self._backlog is not None:
            self._backlog.remove(is_message_done)

    def clear(self) -> None:
        """Discard all messages, which will not be handled."""
        self._backlog = None

    def must_wait(self, at_once: int) -> bool:
        """Return whether the first message, or the next to come, has to wait for a handler to end.

        Args:
            at_once: number of handlers and hooks that a message may start.
        """
        handlers = self._handlers
        if handlers.running <= 0:
            return False
        if handlers.total.may_be_full():
            return True
        needs = 0 if self._backlog is None else self._backlog.needs
        return handlers.running > self._limits.handlers - at_once or handlers.memory + needs > self._held.at_work

    def pause_if_full(self, client: ConnectedClient[Socket]) -> None:
        """Stop reading if there is too much; reading goes on if the server calls the client and may be answered."""
        if self.is_full(client):
            client.pause_reading(lambda: self.resume_if_not_full(client))

    def resume_if_not_full(self, client: ConnectedClient[Socket]) -> None:
        """Read again, if reading was paused and there is room."""
        if not self.is_full(client):
            client.resume_reading()

    def is_full(self, client: ConnectedClient[Socket]) -> bool:
        """Return whether no more may be read."""
        size = 0 if self._backlog is None else self._backlog.size
        taken = size + self._handlers.memory
        if client.awaits_answers:
            return taken > self._held.called
        return size > self._limits.max_message or (taken > self._held.at_work and self._handlers.running > 0)


def _handle_text(codec: Codec, text: bytes, handle: HandleMessage) -> None:
    handle(codec, text.decode())
