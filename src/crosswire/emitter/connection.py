"""The connection of an emitter to the cluster, in one process."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from crosswire.cluster.redis.address import Address
from crosswire.cluster.redis.options import Redis
from crosswire.core.channel_names import Channels
from crosswire.core.formats import EncodedMessage
from crosswire.core.payload_types import RawPayload
from crosswire.core.positions import LogPosition
from crosswire.core.signing import Signer
from crosswire.core.targets import Excluded, Target, ToRoom
from crosswire.emitter.dialects import EmitterDialect, NativeEmitterDialect, OriginalEmitterDialect
from crosswire.emitter.port import EmitterPort
from crosswire.emitter.publisher import Publisher
from crosswire.emitter.question import Question
from crosswire.emitter.redis_link import ANSWER_TIMEOUT, RedisLink
from crosswire.emitter.room_logs import RoomLogs
from crosswire.errors import ConfigError, NotConnected


class EmitterConnection:
    """Sends the messages of an emitter from one process. Its threads take turns.

    A process that is forked makes another one: it must not use the sockets and the numbers of its parent.

    Args:
        options: of the Redis.
        addresses: of the Redis.

    Attributes:
        process: id of the process.
        dialect: of messages for clients and of the application's events: the native one or the original's.
        native: Crosswire's own dialect; requests to services always use it.
    """

    def __init__(self, options: Redis, addresses: Sequence[Address]) -> None:
        self.process = os.getpid()
        origin, compat = secrets.token_hex(8), options.compat_options
        self._name = name = f"emitter-{origin[:8]}"
        self._lock = Lock()
        self._closed = False
        # With another Redis to send over, one that hangs is given up as soon as nodes give it up.
        timeout = ANSWER_TIMEOUT if len(addresses) == 1 or compat is not None else options.ping_timeout
        links = [RedisLink(address, f"crosswire:{name}", timeout) for address in addresses]
        self._publisher = Publisher(links, options.strategy, 2 if options.delivery == "redundant" else 1)
        signer = Signer(options.keys) if options.keys else None
        self._port = EmitterPort(self._publisher, bytes.fromhex(origin), signer)
        self._channels = Channels(options.prefix)
        self.native = NativeEmitterDialect(self._port, self._channels, name, signer)
        self.dialect: EmitterDialect = self.native
        self._logs: RoomLogs | None = None
        if compat is not None:
            self.dialect = OriginalEmitterDialect(self._port, compat, name)
        else:
            self._logs = RoomLogs(links, options.prefix, bytes.fromhex(origin), options.keys)
        self._publisher.compare_listeners_of(self.dialect.nodes)

    def to_clients(self, target: Target, message: EncodedMessage, exclude: Excluded | None) -> None:
        """Send a message to clients, wherever they are connected."""
        with self.turn():
            if isinstance(target, ToRoom) and self._logs is not None and self._logs.keeps(target.namespace):
                self._logs.append(target, message, exclude)
                return
            self.dialect.to_clients(target, message, exclude)
            self._port.flush()

    def publish(self, room: ToRoom, message: EncodedMessage, id: str | None) -> LogPosition:
        """Send a message to a room that keeps history; return its position there.

        Raises:
            ConfigError: the room keeps none.
        """
        with self.turn():
            logs = self._logs
            if logs is None:
                raise ConfigError("no room keeps history in a cluster with original servers: Redis(compat=...)")
            if not (logs.keeps(room.namespace) or logs.keeps(room.namespace, anew=True)):
                raise ConfigError(
                    f"no running server says that rooms of {room.namespace!r} keep history: "
                    f"server.history({room.namespace!r})"
                )
            return logs.append(room, message, None, id)

    def send_event(self, to: Collection[str] | None, event: str, payload: RawPayload) -> None:
        """Send an event to some nodes, or to all if ``to`` is None."""
        with self.turn():
            self.dialect.send_event(to, event, payload)
            self._port.flush()

    def ask_node(self, question: Question, name: str, event: str, payload: RawPayload) -> bool:
        """Send a request to a node; return whether somebody listens on its channel."""
        return self.ask_nodes(question, (name,), event, payload)[name]

    def ask_nodes(self, question: Question, names: Sequence[str], event: str, payload: RawPayload) -> dict[str, bool]:
        """Send a request to nodes; return for each whether somebody listens on its channel."""
        with self.turn():
            for name in names:
                question.dialect.send_request(name, event, payload, question.asker)
            return dict(zip(names, map(bool, self._port.flush()), strict=True))

    def ask_all(self, question: Question, event: str) -> int:
        """Send a request without data to all nodes; return their number."""
        with self.turn():
            self.native.ask_all(event, question.asker)
            return sum(self._port.flush())

    def gone(self, names: Sequence[str]) -> list[str]:
        """Return which of some nodes are certain to listen no more."""
        with self._lock:
            counts = self._publisher.count_listeners([self._channels.node(name) for name in names])
        return [name for name, count in zip(names, counts, strict=True) if count == 0]

    def question(self, dialect: EmitterDialect) -> Question:
        """Return a question, to be entered, whose answers come in a dialect."""
        return Question(self._publisher.links, self._name, dialect)

    def close(self) -> None:
        """Close the connections to Redis."""
        with self._lock:
            self.drop()

    def drop(self) -> None:
        """Close the connections to Redis, even if another thread uses them."""
        self._closed = True
        self._publisher.close()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep other threads out; forget what was collected if an error prevented that it was published.

        Raises:
            NotConnected: another thread has closed the emitter.
        """
        with self._lock:
            if self._closed:
                raise NotConnected("the emitter was closed")
            try:
                yield
            finally:
                self._port.discard()
