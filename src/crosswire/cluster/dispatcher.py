"""The dispatcher of a node: carries out the methods of audiences on this node and on all others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from functools import partial
from typing import Any

import msgspec

from crosswire.cluster.clients import Clients
from crosswire.cluster.connection import ClusterConnection
from crosswire.cluster.current_connection import CurrentConnection
from crosswire.cluster.history.node_history import NodeHistory
from crosswire.cluster.lists import (
    LocateRequest,
    RoomsRequest,
    joined_locations,
    joined_rooms,
    unanswered,
)
from crosswire.cluster.thread_sends import ThreadSends
from crosswire.core import envelopes
from crosswire.core.codecs import JSON, UNENCODABLE
from crosswire.core.event_policies import EventPolicies, MessagePolicy, SendPolicy
from crosswire.core.formats import EncodedMessage, encode
from crosswire.core.listeners import EventListeners
from crosswire.core.messages import EventMessage
from crosswire.core.names import require_event
from crosswire.core.payload_types import ANY, PayloadType, decode_answer
from crosswire.core.positions import LogPosition
from crosswire.core.targets import Excluded, Target, ToRoom, ToUsers
from crosswire.errors import ConfigError, EventError, InvalidPayload
from crosswire.runtime.loop_thread import WrongThread, get_ident
from crosswire.types import HistoryPage, Locations, Position, Replies, RoomList, Roster, Tally

SERVICE_TIMEOUT = 3.0
"""Seconds to wait for the answers of other nodes; a dead node is noticed sooner."""
GATHER_MARGIN = 0.5
"""Seconds to wait for the answers of other nodes after the timeout of a gather among their clients."""

_encode_json = JSON.encode_data


class CountRequest(msgspec.Struct):
    """Request to count the users of a target that are connected to a node."""

    target: Target


class CloseRequest(msgspec.Struct):
    """Request to close the connections of a target to a node."""

    target: Target
    code: int
    reason: str


class _Gather(msgspec.Struct):
    """Request to gather answers of a node's clients; the data is JSON text, from which their messages are made."""

    target: Target
    event: str
    data: bytes
    timeout: float


class _RoomAndUser(msgspec.Struct):
    room: ToRoom
    user: str


class _Gathered(msgspec.Struct):
    """Answers of the users of one node. Each is encoded by itself, so that an invalid answer spoils no other.

    Attributes:
        answers: the answers as MessagePack.
        large: the answers that MessagePack can't hold, as JSON.
        errors: code and message of each refusal.
        missing: the users that did not answer.
    """

    answers: dict[str, bytes]
    large: dict[str, bytes]
    errors: dict[str, tuple[str, str]]
    missing: list[str]


class ClusterDispatcher:
    """The :class:`~crosswire.core.audience.Dispatcher` of a node. Messages reach this node's clients directly, and the
    clients of other nodes over the bus.

    Args:
        clients: the clients of this node.
        connection: returns the node's connection to the cluster; raises if there is none, or in another thread.
        current: the same connection, while the node runs.
        thread_sends: sends for other threads.
        policies: of events, for connections whose clients read too slowly.
        gather_margin: seconds to wait for other nodes after the timeout of a gather.
    """

    __slots__ = ("_clients", "_connection", "_current", "_gather_margin", "_heads", "_policies", "_thread_sends")

    def __init__(
        self,
        clients: Clients,
        connection: Callable[[], ClusterConnection],
        current: CurrentConnection,
        thread_sends: ThreadSends,
        policies: EventPolicies,
        *,
        gather_margin: float = GATHER_MARGIN,
    ) -> None:
        self._clients = clients
        self._connection = connection
        self._current = current
        self._thread_sends = thread_sends
        self._policies = policies
        self._heads = policies.heads
        self._gather_margin = gather_margin

    def send(
        self,
        target: Target,
        event: str,
        data: Any,
        exclude: Excluded | None,
        local: bool,
        policy: SendPolicy | None = None,
    ) -> None:
        checked = None
        if policy is not None or event in self._policies.declared:
            checked = self._policies.of_message(event, data, policy)
        try:
            cluster = self._connection()
        except WrongThread:
            self._thread_sends.to_clients(self.send, target, event, data, exclude, local, checked or policy)
            return
        # Not isinstance, which takes ten times as long for a struct of another class.
        if type(target) is ToRoom and target.namespace in cluster.histories.kept and not local:
            message = self._encoded(cluster, event, data, checked)
            cluster.histories.of_rooms.send(target, message, exclude)
            return
        if local or cluster.alone:
            self._clients.send(target, event, data, exclude, True, checked)
            return
        if cluster.compat is not None:
            cluster.compat.check(target, exclude)
        clients = self._clients
        wanted = clients.wants_msgpack or cluster.members.want_msgpack
        message = encode(EventMessage(event, data), msgpack=wanted, policy=checked)
        if type(target) is ToUsers:
            users = target.users
            if len(users) == 1 and users[0] not in clients.connected:  # the usual case, by far
                cluster.dialect.to_clients(target, message, exclude)
                return
            here, elsewhere = self._split(target)
            if elsewhere is not None:
                cluster.dialect.to_clients(elsewhere, message, exclude)
            if here is not None:
                clients.deliver(here, message, exclude)
            return
        cluster.dialect.to_clients(target, message, exclude)  # first, as it may raise, and then nobody gets the message
        clients.deliver(target, message, exclude)

    def send_plain(self, target: Target, event: str, data: Any) -> None:
        current, clients = self._current, self._clients
        cluster = current.connection
        head = self._heads.get(event) if type(event) is str else None
        if (
            head is None
            or cluster is None
            or get_ident() != current.thread
            or not cluster.alone
            or cluster.histories.kept
            or clients.formats.wants_msgpack
        ):
            self._send_checked(target, event, data)
            return
        try:
            text = head + _encode_json(data) + b"}"  # as an EventMessage, in half the time
        except UNENCODABLE:  # which an EventMessage leaves out, if it is UNSET, and refuses otherwise
            self._send_checked(target, event, data)
            return
        clients.deliver(target, EncodedMessage(text), None)

    def send_to_user(self, target: ToUsers, event: str, data: Any) -> None:
        current, clients = self._current, self._clients
        cluster, user = current.connection, target.users[0]
        head = self._heads.get(event) if type(event) is str else None
        if (
            head is None
            or cluster is None
            or get_ident() != current.thread
            or (to_user := cluster.to_user) is None
            or cluster.members.want_msgpack
            or clients.formats.wants_msgpack
            or user in clients.connected
        ):
            self.send_plain(target, event, data)
            return
        try:
            text = head + _encode_json(data) + b"}"
        except UNENCODABLE:  # as above
            self._send_checked(target, event, data)
            return
        to_user(user, text)

    def _send_checked(self, target: Target, event: str, data: Any) -> None:
        """Check the event's name and send it; its next message may find what messages of this event begin with."""
        self.send(target, require_event(event), data, None, False)
        if event not in self._heads and get_ident() == self._current.thread:
            self._policies.keep_head(event)

    def _encoded(
        self, cluster: ClusterConnection, event: str, data: Any, policy: MessagePolicy | None
    ) -> EncodedMessage:
        """Encode a message for the clients of all nodes."""
        wanted = self._clients.wants_msgpack or cluster.members.want_msgpack
        return encode(EventMessage(event, data), msgpack=wanted, policy=policy)

    async def publish(self, room: ToRoom, event: str, data: Any, id: str | None) -> Position:
        cluster = self._connection()
        history = _history_of(cluster, room)
        policy = self._policies.of_message(event, data, None) if event in self._policies.declared else None
        return await history.publish(room, self._encoded(cluster, event, data, policy), id)

    async def history(self, room: ToRoom, before: LogPosition | None, limit: int) -> HistoryPage:
        return await _history_of(self._connection(), room).page(room, before, limit)

    def _split(self, target: ToUsers) -> tuple[ToUsers | None, ToUsers | None]:
        """Return the users that are connected to this node, and those that other nodes may have; they may overlap."""
        clients, users = self._clients, target.users
        here = clients.users(target)
        if not here:
            return None, target
        if clients.users_may_be_elsewhere:
            return target, target
        if len(users) == 1:
            return target, None
        elsewhere = tuple(user for user in users if user not in here)
        return target, ToUsers(elsewhere) if elsewhere else None

    async def gather(self, target: Target, event: str, data: Any, timeout: float, kind: PayloadType) -> Replies:
        text = JSON.encode(data)
        own = partial(self._clients.gather, target, event, msgspec.Raw(text), timeout, kind)
        request = _Gather(target, event, text, timeout)
        return _merged(*await self._everywhere(own, "gather", request, timeout + self._gather_margin), kind)

    async def close(self, target: Target, code: int, reason: str) -> Replies:
        own = partial(self._clients.close, target, code, reason)
        return _joined(*await self._everywhere(own, "close", CloseRequest(target, code, reason)))

    async def count(self, target: Target) -> Tally:
        own, others = await self._everywhere(partial(_count_here, self._clients, target), "count", CountRequest(target))
        return tally((own, *others.values()), unanswered(others))

    async def members(self, room: ToRoom) -> Roster:
        own, others = await self._everywhere(partial(self._clients.members, room), "members", room)
        return Roster(own.users.union(*others.values()), unanswered(others))

    async def locate(self, target: Target, prefix: str, limit: int) -> Locations:
        own = partial(self._clients.locate, target, prefix, limit)
        return joined_locations(*await self._everywhere(own, "locate", LocateRequest(target, prefix, limit)), limit)

    async def list_rooms(self, namespace: str | None, prefix: str, limit: int) -> RoomList:
        """List the first ``limit`` rooms of all servers, of a namespace or of all, whose ids have a prefix."""
        own = partial(self._clients.list_rooms, namespace, prefix, limit)
        request = RoomsRequest(namespace, prefix, limit)
        return joined_rooms(*await self._everywhere(own, "list_rooms", request), limit)

    async def add(self, room: ToRoom, user: str) -> Replies:
        own = partial(self._clients.add, room, user)
        return _joined(*await self._everywhere(own, "add", _RoomAndUser(room, user)))

    async def remove(self, room: ToRoom, user: str) -> Replies:
        own = partial(self._clients.remove, room, user)
        return _joined(*await self._everywhere(own, "remove", _RoomAndUser(room, user)))

    async def clear(self, room: ToRoom) -> Replies:
        return _joined(*await self._everywhere(partial(self._clients.clear, room), "clear", room))

    async def _everywhere(
        self, own: Callable[[], Coroutine[Any, Any, Any]], name: str, request: Any, timeout: float = SERVICE_TIMEOUT
    ) -> tuple[Any, Replies]:
        """Run ``own`` and the service of all other servers at the same time; neither if the request can't be sent."""
        cluster = self._connection()
        if cluster.alone:
            return await own(), Replies()
        elsewhere = cluster.requester.gather_service(name, request, timeout)
        here, others = await asyncio.gather(own(), elsewhere)
        return here, others


def _history_of(cluster: ClusterConnection, room: ToRoom) -> NodeHistory:
    if room.namespace not in cluster.histories.kept:
        raise ConfigError(
            f"rooms of the namespace {room.namespace!r} keep no history: declare it with "
            f"server.history({room.namespace!r}) or node.history(...)"
        )
    return cluster.histories.of_rooms


def offer_services(services: EventListeners, clients: Clients) -> None:
    """Register the services with which other nodes carry out the methods of audiences on this node's clients."""

    async def gather(_sender: str, request: _Gather) -> _Gathered:
        replies = await clients.gather(request.target, request.event, msgspec.Raw(request.data), request.timeout, ANY)
        return _gathered(replies)

    async def close(_sender: str, request: CloseRequest) -> int:
        return _own_answer(await clients.close(request.target, request.code, request.reason))

    def count(_sender: str, request: CountRequest) -> int | list[str]:
        return _count(clients, request.target)

    def members(_sender: str, room: ToRoom) -> list[str]:
        return list(clients.users(room))

    async def add(_sender: str, request: _RoomAndUser) -> int:
        return _own_answer(await clients.add(request.room, request.user))

    async def remove(_sender: str, request: _RoomAndUser) -> int:
        return _own_answer(await clients.remove(request.room, request.user))

    async def clear(_sender: str, room: ToRoom) -> int:
        return _own_answer(await clients.clear(room))

    for service in (gather, close, count, members, add, remove, clear):
        services.on(service.__name__, service)


def _gathered(replies: Replies) -> _Gathered:
    """Encode the replies of this node's users."""
    gathered = _Gathered({}, {}, {}, list(replies.missing))
    for user, answer in replies.items():
        try:
            gathered.answers[user] = bytes(envelopes.pack(answer))
        except InvalidPayload:
            try:
                gathered.large[user] = JSON.encode(answer)
            except InvalidPayload as error:
                gathered.errors[user] = (error.code, error.message)
    gathered.errors.update({user: (error.code, error.message) for user, error in replies.errors.items()})
    return gathered


def _read(gathered: _Gathered, kind: PayloadType) -> tuple[dict[str, Any], dict[str, EventError]]:
    """Decode the answers and the refusals of a node's users."""
    answers: dict[str, Any] = {}
    errors = {user: EventError(*error, sender=user) for user, error in gathered.errors.items()}
    # An answer that came as MessagePack means the same as its JSON form.
    from_msgpack = kind.from_msgpack if kind is ANY else kind.from_client
    for read, encoded in ((from_msgpack, gathered.answers), (kind.from_json, gathered.large)):
        for user, answer in encoded.items():
            try:
                answers[user] = decode_answer(read, answer)
            except InvalidPayload as error:
                errors[user] = InvalidPayload(error.message, sender=user)
    return answers, errors


def _count(clients: Clients, target: Target) -> int | list[str]:
    """Count users. If they may be connected to other nodes too, list them, so that each is counted only once."""
    users = clients.users(target)
    return list(users) if clients.users_may_be_elsewhere else len(users)


def tally(answers: Iterable[int | list[str]], missing: Collection[str]) -> Tally:
    """Add up what nodes answer to a :class:`CountRequest`."""
    total, users = 0, set[str]()
    for answer in answers:
        if isinstance(answer, int):
            total += answer
        else:
            users.update(answer)
    return Tally(total + len(users), missing)


def _own_answer(replies: Replies) -> int:
    """Return the sum of the answers in replies; raise the first refusal."""
    for error in replies.errors.values():
        raise error
    return sum(replies.values())


async def _count_here(clients: Clients, target: Target) -> int | list[str]:
    return _count(clients, target)


def _joined(own: Replies, others: Replies) -> Replies:
    """Join the replies of this node and of the other nodes."""
    return Replies({**own, **others}, errors={**own.errors, **others.errors}, missing=others.missing)


def _merged(own: Replies, others: Replies, kind: PayloadType) -> Replies:
    """Merge the replies of users on all nodes. A user is missing only if no node has an answer of the user."""
    answers: dict[str, Any] = dict(own)
    errors: dict[str, EventError] = dict(own.errors)
    silent: dict[str, None] = dict.fromkeys(own.missing)
    for answer in others.values():
        gathered = msgspec.convert(answer, _Gathered)
        theirs, refusals = _read(gathered, kind)
        answers = {**theirs, **answers}
        errors = {**refusals, **errors}
        silent.update(dict.fromkeys(gathered.missing))
    errors = {user: error for user, error in errors.items() if user not in answers}
    missing = [user for user in silent if user not in answers and user not in errors]
    return Replies(answers, errors=errors, missing=(*missing, *unanswered(others)))
