"""The connection of an emitter to the cluster, in one process."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from crosswire.cluster.native_messages import to_clients
from crosswire.cluster.redis.address import parse
from crosswire.cluster.redis.options import Redis
from crosswire.core import envelopes
from crosswire.core.audience import Excluded, Target
from crosswire.core.channel_names import Channels
from crosswire.core.envelopes import Event
from crosswire.core.formats import EncodedMessage
from crosswire.emitter.port import EmitterPort
from crosswire.emitter.publisher import Publisher
from crosswire.emitter.redis_link import RedisLink


class EmitterConnection:
    """Sends the messages of an emitter from one process. Its threads take turns.

    A process that is forked makes another one: it must not use the sockets and the numbers of its parent.

    Args:
        options: of the Redis.

    Attributes:
        process: id of the process.
        name: of the emitter, shown to handlers as the sender.
    """

    def __init__(self, options: Redis) -> None:
        self.process = os.getpid()
        origin = secrets.token_hex(8)
        self.name = f"emitter-{origin[:8]}"
        self._lock = Lock()
        self._channels = Channels(options.prefix)
        links = [RedisLink(parse(url), f"crosswire:{self.name}") for url in options.all_urls]
        copies = 2 if options.delivery == "redundant" else 1
        self._publisher = Publisher(links, options.strategy, copies, self._channels.nodes)
        self._port = EmitterPort(self._publisher, bytes.fromhex(origin))

    def to_clients(self, target: Target, message: EncodedMessage, exclude: Excluded | None) -> None:
        """Send a message to clients, wherever they are connected."""
        with self._turn():
            to_clients(self._port, self._channels, target, message, exclude)
            self._port.flush()

    def send_event(self, to: Collection[str] | None, event: str, data: Any) -> None:
        """Send an event to some nodes, or to all if ``to`` is None."""
        body = envelopes.encode(Event(self.name, event, envelopes.pack(data)))
        channels = (self._channels.nodes,) if to is None else [self._channels.node(name) for name in dict.fromkeys(to)]
        with self._turn():
            for channel in channels:
                self._port.publish(channel, body)
            self._port.flush()

    def close(self) -> None:
        """Close the connections to Redis."""
        with self._lock:
            self.drop()

    def drop(self) -> None:
        """Close the connections to Redis, even if another thread uses them."""
        self._publisher.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Keep other threads out; forget what was collected if an error prevented that it was published."""
        with self._lock:
            try:
                yield
            finally:
                self._port.discard()
