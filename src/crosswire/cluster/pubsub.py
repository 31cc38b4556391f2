"""The channels that an application uses for itself."""

from __future__ import annotations

from itertools import count
from typing import Any

from crosswire.cluster.connection import ClusterConnection
from crosswire.cluster.responder import Responder
from crosswire.core.listeners import EventListeners, Handler
from crosswire.core.messages import Codec
from crosswire.core.names import require_event
from crosswire.core.payloads import RawPayload
from crosswire.errors import BusUnavailable, ConfigError
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.loop_thread import running_loop


class CustomChannels:
    """Who listens on which channel, on one node.

    Args:
        tasks: where asynchronous handlers are run.
    """

    __slots__ = ("_connection", "_handlers", "_names", "_responder", "_tags")

    def __init__(self, tasks: BackgroundTasks) -> None:
        self._handlers = EventListeners(sender=str)
        self._responder = Responder(self._handlers, tasks)
        self._connection: ClusterConnection | None = None
        self._names: set[str] = set()
        self._tags = count(1)  # numbers the handlers, as one may be given twice

    async def attach(self, connection: ClusterConnection) -> None:
        """Listen on the bus, for all that has been subscribed; returns when it does.

        Raises:
            ConfigError: the bus refuses the subscription.
        """
        self._connection = connection
        for name in [self._open(connection, channel) for channel in self._names]:
            try:
                await connection.port.listening(name)
            except BusUnavailable as error:
                raise ConfigError(str(error)) from error

    def detach(self) -> None:
        """Listen no more, until :meth:`attach`."""
        self._connection = None
        self._responder.drop()

    async def subscribe(self, connection: ClusterConnection, channel: str, handler: Handler) -> None:
        """Call a handler for all that is published; returns when it listens.

        Raises:
            BusUnavailable: the bus refuses the subscription; the handler is not kept.
        """
        tag = next(self._tags)
        self._handlers.on(channel, handler, tag=tag)
        try:
            name = self._open(connection, channel)
            self._names.add(channel)
            await connection.port.listening(name)
        except BaseException:
            self.unsubscribe(channel, tag)
            raise

    def unsubscribe(self, channel: str, handler: Handler | int | None) -> None:
        """Call a handler no more, given itself or by its number; or none."""
        self._handlers.off(channel, handler)
        if channel in self._names and not self._handlers.of(channel):
            self._names.discard(channel)
            if self._connection is not None:
                self._connection.dialect.unsubscribe(channel)

    def publish(self, connection: ClusterConnection, channel: str, data: Any) -> None:
        """Publish; this node's own handlers are called in the next turn."""
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
