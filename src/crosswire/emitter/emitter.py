"""Sends to clients and nodes from programs without an event loop."""

from __future__ import annotations

import os
import weakref
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from crosswire.cluster.dispatcher import CloseRequest, CountRequest, tally
from crosswire.cluster.gather_request import names_of
from crosswire.cluster.lists import unanswered
from crosswire.cluster.redis.options import Redis
from crosswire.core import messages
from crosswire.core.event_policies import EventPolicies, SendPolicy
from crosswire.core.formats import encode
from crosswire.core.names import require_event, require_name
from crosswire.core.options import require_call
from crosswire.core.payload_types import payload_type
from crosswire.core.targets import Everyone, Excluded, Target, ToRoom, ToUsers, room_of, user_ids
from crosswire.emitter import requests
from crosswire.emitter.addresses import Addresses
from crosswire.emitter.audience import EmitterAudience, EmitterRoom
from crosswire.emitter.connection import EmitterConnection
from crosswire.emitter.dialects import pack
from crosswire.emitter.redis_link import require_redis_py
from crosswire.errors import ConfigError, NotConnected
from crosswire.types import ANYTHING, Position, Replies, T, Tally

if TYPE_CHECKING:
    from typing_extensions import TypeForm


class Emitter:
    """Sends to clients and nodes from a program without an event loop: a Django view, a Celery task, a cron job.

    Its methods block until Redis has answered. It connects with the first message, and may be used by several threads,
    which take turns. After a fork, the child connects anew: one emitter for the whole program is enough. It is no
    member of the cluster: no node sees it come or go. It needs redis-py, the extra ``crosswire[emitter]``.

    Args:
        redis: URL of a Redis or Valkey, several, or :class:`Redis` with its options: what the servers have.

    Raises:
        ConfigError: an option can't be used, or redis-py is not installed.

    Example::

        emitter = Emitter(redis="redis://127.0.0.1:6379")
        emitter.user("13").send("paid", {"order": 7})
        emitter.room("chat", "1000").send("said", {"text": "hi"}, exclude=["3"])
    """

    def __init__(self, redis: str | Collection[str] | Redis) -> None:
        if redis is None:
            raise ConfigError("Emitter(redis=...): give the url of the servers' Redis, or a list of urls, or Redis()")
        self._options = redis if isinstance(redis, Redis) else Redis(redis)
        require_redis_py()
        self._addresses = Addresses(self._options)
        self._connection: EmitterConnection | None = None
        self._made: dict[int, EmitterConnection] = {}  # by process; one at most, but for a moment after a fork
        self._closed = False
        weakref.finalize(self, _drop, self._made, self._addresses)  # also when the program ends

    def __repr__(self) -> str:
        return f"<Emitter {self._options!r}{' closed' if self._closed else ''}>"

    # Audiences

    @property
    def everyone(self) -> EmitterAudience:
        """Every user that is connected to any server."""
        return EmitterAudience(Everyone(), self)

    def user(self, id: str) -> EmitterAudience:
        """Return the audience of one user, on all its connections."""
        return EmitterAudience(ToUsers((require_name(id, "a user id"),), one=True), self)

    def users(self, ids: Iterable[str]) -> EmitterAudience:
        """Return the audience of some users; each is reached once, however often it is named."""
        return EmitterAudience(ToUsers(user_ids(ids, "users()")), self)

    def room(self, namespace: str, id: str) -> EmitterRoom:
        """Return the audience of a room's members."""
        return EmitterRoom(room_of(namespace, id), self)

    # Nodes

    def send(self, event: str, data: Any = None, *, to: str | Iterable[str] | None = None) -> None:
        """Send an event to nodes, and return when Redis has acknowledged it. Their handlers see a generated sender.

        Args:
            event: its name.
            data: anything with a MessagePack form.
            to: names of nodes; None for all.

        Raises:
            InvalidPayload: ``data`` has no MessagePack form.
            BusUnavailable, NotConnected, UsageError: as ``send`` of an audience.
        """
        names, event, connection = names_of(to), require_event(event), self._connected()
        connection.send_event(names, event, pack(connection.dialect.codec, data))

    def call(self, node: str, event: str, data: Any = None, *, timeout: float = 5, type: TypeForm[T] = ANYTHING) -> T:
        """Send a request to a node and return its answer.

        Args:
            node: its name.
            event: the event's name.
            data: as for :meth:`send`.
            timeout: seconds.
            type: the answer is decoded into it, as a payload into the annotation of a handler's data.

        Raises:
            NodeGone: nobody listens under this name, or the node ended before it answered.
            CallTimeout: the node did not answer in time.
            EventError: the node refused; :exc:`InvalidPayload` if its answer does not fit; ``sender`` names the node.
            ConfigError: the type can't be decoded.
            BusUnavailable, InvalidPayload, NotConnected, UsageError: as :meth:`send`.
        """
        require_call(node, event, timeout)
        kind, connection = payload_type(type), self._connected()
        answer: T = requests.call(connection, node, event, pack(connection.dialect.codec, data), timeout, kind)
        return answer

    # Life

    def close(self) -> None:
        """Close the connections to Redis. The emitter can't be used any more."""
        self._closed = True
        connection, self._connection = self._made.pop(os.getpid(), None), None
        if connection is not None:
            connection.close()
        self._addresses.release()

    def __enter__(self) -> Emitter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # BlockingDispatcher

    def to_clients(
        self, target: Target, event: str, data: Any, exclude: Excluded | None, policy: SendPolicy | None
    ) -> None:
        """Send an event to the clients of a target; for the audiences of this emitter."""
        checked = EventPolicies().of_message(event, data, policy)
        message = encode(messages.event(event, data), msgpack=False, policy=checked)
        self._connected().to_clients(target, message, exclude)

    def publish(self, room: ToRoom, event: str, data: Any, id: str | None) -> Position:
        """Send an event to a room that keeps history; for the audiences of this emitter."""
        message = encode(messages.event(event, data), msgpack=False)
        return Position(str(self._connected().publish(room, message, id)))

    def close_clients(self, target: Target, code: int, reason: str) -> Replies[int]:
        """Close the connections of a target's clients; for the audiences of this emitter."""
        return requests.gather_service(self._connected(), "close", CloseRequest(target, code, reason))

    def count_users(self, target: Target) -> Tally:
        """Count the users of a target; for the audiences of this emitter."""
        answers = requests.gather_service(self._connected(), "count", CountRequest(target))
        return tally(answers.values(), unanswered(answers))

    def _connected(self) -> EmitterConnection:
        """Return the connection of this process.

        Raises:
            NotConnected: the emitter is closed.
        """
        connection = self._connection
        if connection is None or connection.process != os.getpid():
            connection = self._connect()
        return connection

    def _connect(self) -> EmitterConnection:
        self._require_open()
        process, made = os.getpid(), self._made
        # A lock might be held by a thread that was not forked. This is atomic, so all threads get the same connection.
        self._connection = connection = made.setdefault(process, EmitterConnection(self._options, self._addresses.all))
        for other in set(made) - {process}:
            made.pop(other, None)  # closes the parent's sockets here, and no connection
        if self._closed:  # by another thread, which might not have seen this connection
            self.close()
        self._require_open()
        return connection

    def _require_open(self) -> None:
        if self._closed:
            raise NotConnected("the emitter is closed: make another one")


def _drop(made: dict[int, EmitterConnection], addresses: Addresses) -> None:
    """Close the connections of this process without waiting for a thread that may use them: the program ends."""
    if (connection := made.pop(os.getpid(), None)) is not None:
        connection.drop()
    addresses.release()
