"""The seam between a connection of an ASGI server and what sends its messages, and the usual way: `send`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from crosswire.transport.asgi_writer import AsgiWriter, Send
from crosswire.transport.listener_context import ListenerContext
from crosswire.transport.message_outbox import MessageOutbox
from crosswire.transport.outbox import Outbox, OutboxEvents
from crosswire.types import Close


class Sender(Protocol):
    """Sending side of one connection."""

    @property
    def outbox(self) -> Outbox | MessageOutbox:
        """Queue of what a format has encoded."""
        ...

    @property
    def framed(self) -> bool:
        """Whether ``outbox`` takes WebSocket frames; if not, it takes messages."""
        ...

    def start(self) -> None:
        """Begin to send, with the present context variables."""

    def close(self, close: Close) -> None:
        """Take nothing more; what waits still leaves, and the Close after it."""

    def stop(self) -> None:
        """Cancel the sending that is under way."""


class MessageSender:
    """The ``Sender`` for any ASGI server.

    Args:
        send: of the ASGI connection.
        context: limits and flusher.
        failed: called when ``send`` raises.
        events: callback for a full outbox.
    """

    framed = False

    __slots__ = ("_writer", "outbox")

    def __init__(
        self, send: Send, context: ListenerContext, failed: Callable[[Exception], None], events: OutboxEvents
    ) -> None:
        self._writer = AsgiWriter(send, failed)
        self.outbox = MessageOutbox(self._writer, context.flusher, context.limits.outbox, events, context.slow_readers)
        self._writer.outbox = self.outbox

    def start(self) -> None:
        """Start the task of the writer."""
        self._writer.start()

    def close(self, close: Close) -> None:
        """Queue the Close as the last item."""
        self.outbox.seal(close)

    def stop(self) -> None:
        """Cancel the task of the writer."""
        self._writer.stop()
