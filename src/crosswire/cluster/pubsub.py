"""The application's own channels, to publish and subscribe."""

from __future__ import annotations

from itertools import count
from typing import Any

from crosswire.cluster.connection import ClusterConnection
from crosswire.cluster.responder import Responder
from crosswire.core.codecs import Codec
from crosswire.core.listeners import EventListeners, Handler
from crosswire.core.names import require_event
from crosswire.core.payload_types import RawPayload
from crosswire.errors import BusUnavailable, ConfigError
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.loop_thread import running_loop


class CustomChannels:
    """The handlers of the application's own channels, on one node.

    Args:
        tasks: where asynchronous handlers run.
    """

    __slots__ = ("_connection", "_handlers", "_names", "_responder", "_tags")

    def __init__(self, tasks: BackgroundTasks) -> None:
        self._handlers = EventListeners(sender=str)
        self._responder = Responder(self._handlers, tasks)
        self._connection: ClusterConnection | None = None
        self._names: dict[str, None] = {}  # in order, so that what depends on it can be repeated
        self._tags = count(1)  # number the handlers, as one may be added twice

    async def attach(self, connection: ClusterConnection) -> None:
        """Subscribe to all channels that have handlers; return when this node is subscribed.

        Raises:
            ConfigError: the bus refuses one of the subscriptions.
        """
        self._connection = connection
        for name in [self._open(connection, channel) for channel in self._names]:
            try:
                await connection.port.wait_listening(name)
            except BusUnavailable as error:
                raise ConfigError(str(error)) from error

    def detach(self) -> None:
        """Forget the connection, until the next :meth:`attach`."""
        self._connection = None
        self._responder.drop()

    async def subscribe(self, connection: ClusterConnection, channel: str, handler: Handler) -> None:
        """Add a handler to a channel; return when this node is subscribed.

        Raises:
            BusUnavailable: the bus refuses the subscription; the handler is not kept.
        """
        tag = next(self._tags)
        self._handlers.on(channel, handler, tag=tag)
        try:
            name = self._open(connection, channel)
            self._names[channel] = None
            await connection.port.wait_listening(name)
        except BaseException:
            self.unsubscribe(channel, tag)
            raise

    def unsubscribe(self, channel: str, handler: Handler | int | None) -> None:
        """Remove a handler from a channel, given itself or by its number; with None, remove all handlers."""
        self._handlers.off(channel, handler)
        if channel in self._names and not self._handlers.of(channel):
            self._names.pop(channel)
            if self._connection is not None:
                self._connection.dialect.unsubscribe(channel)

    def publish(self, connection: ClusterConnection, channel: str, data: Any) -> None:
        """Publish a message; this node's own handlers are called in the next turn of the event loop."""
        dialect = connection.dialect
        payload = dialect.pack(data)
        loop = running_loop()
        dialect.publish(require_event(channel), payload)
        if channel in self._names and not dialect.echoes:
            loop.call_soon(self._responder.event, connection.name, channel, dialect.codec, payload)

    def _open(self, connection: ClusterConnection, channel: str) -> bytes:
        def receive(sender: str, codec: Codec, payload: RawPayload) -> None:
            self._responder.event(sender, channel, codec, payload)

        return connection.dialect.subscribe(channel, receive)
