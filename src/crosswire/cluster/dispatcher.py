"""Carries out what audiences are asked to do, on this node and on all others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import msgspec

from crosswire.cluster.clients import Clients
from crosswire.cluster.connection import ClusterConnection
from crosswire.core import envelopes, messages
from crosswire.core.audience import Excluded, Target, ToRoom, ToUsers
from crosswire.core.formats import encode
from crosswire.core.listeners import EventListeners
from crosswire.core.messages import JSON
from crosswire.core.payloads import ANY, PayloadType
from crosswire.errors import EventError, InvalidPayload
from crosswire.types import Replies, Roster, Tally

PATIENCE = 3.0
"""Seconds that other nodes have to answer; a dead one is found out sooner."""
_GRACE = 0.5
"""Seconds that nodes have, once their clients' time is over, to tell what those answered."""


class _Count(msgspec.Struct):
    target: Target


class _Close(msgspec.Struct):
    target: Target
    code: int
    reason: str


class _Gather(msgspec.Struct):
    """Asks a node's clients; the data is JSON text, from which all clients' messages are made."""

    target: Target
    event: str
    data: bytes
    timeout: float


class _Membership(msgspec.Struct):
    room: ToRoom
    user: str


class _Gathered(msgspec.Struct):
    """What the users of one node answered: each encoded on its own, as one client's answer must not spoil another's.

    Attributes:
        answers: as MessagePack.
        large: as JSON, where only that can hold it.
    """

    answers: dict[str, bytes]
    large: dict[str, bytes]
    errors: dict[str, tuple[str, str]]
    missing: list[str]


class ClusterDispatcher:
    """The ``Dispatcher`` of a node: what is for clients reaches its own directly, and those of others over the bus.

    Args:
        clients: of this node.
        connection: gives the node's part in the cluster; raises where there is none, or from another thread.
    """

    __slots__ = ("_clients", "_connection")

    def __init__(self, clients: Clients, connection: Callable[[], ClusterConnection]) -> None:
        self._clients = clients
        self._connection = connection

    def send(self, target: Target, event: str, data: Any, exclude: Excluded | None, local: bool) -> None:
        """Send an event."""
        cluster = self._connection()
        if local or cluster.alone:
            self._clients.send(target, event, data, exclude, True)
            return
        if cluster.compat is not None:
            cluster.compat.check(target, exclude)
        clients = self._clients
        wanted = clients.wants_msgpack or cluster.members.want_msgpack
        payloads = encode(messages.event(event, data), msgpack=wanted)
        if isinstance(target, ToUsers):
            here, elsewhere = self._sorted(target)
            if elsewhere is not None:
                cluster.dialect.to_clients(elsewhere, payloads, exclude)
            if here is not None:
                clients.deliver(here, payloads, exclude)
            return
        cluster.dialect.to_clients(target, payloads, exclude)  # first: it may refuse, and then nobody gets it
        clients.deliver(target, payloads, exclude)

    def _sorted(self, target: ToUsers) -> tuple[ToUsers | None, ToUsers | None]:
        """Sort users into those who are connected here and those who may be elsewhere; some may be both."""
        clients = self._clients
        here = clients.users(target)
        if not here:
            return None, target
        if clients.users_may_be_elsewhere:
            return target, target
        if len(target.users) == 1:
            return target, None
        elsewhere = tuple(user for user in target.users if user not in here)
        return target, ToUsers(elsewhere) if elsewhere else None

    async def gather(self, target: Target, event: str, data: Any, timeout: float, kind: PayloadType) -> Replies:
        """Call every user of the target, wherever connected."""
        text = JSON.encode(data)
        own = partial(self._clients.gather, target, event, msgspec.Raw(text), timeout, kind)
        question = _Gather(target, event, text, timeout)
        return _merged(*await self._everywhere(own, "gather", question, timeout + _GRACE), kind)

    async def close(self, target: Target, code: int, reason: str) -> Replies:
        """Close every connection of the target."""
        own = partial(self._clients.close, target, code, reason)
        return _joined(*await self._everywhere(own, "close", _Close(target, code, reason)))

    async def count(self, target: Target) -> Tally:
        """Count the target's users."""
        own, others = await self._everywhere(partial(_count_here, self._clients, target), "count", _Count(target))
        total, users = 0, set[str]()
        for answer in (own, *others.values()):
            if isinstance(answer, int):
                total += answer
            else:
                users.update(answer)
        return Tally(total + len(users), _unanswered(others))

    async def members(self, room: ToRoom) -> Roster:
        """List a room's members."""
        own, others = await self._everywhere(partial(self._clients.members, room), "members", room)
        return Roster(own.users.union(*others.values()), _unanswered(others))

    async def add(self, room: ToRoom, user: str) -> Replies:
        """Let every connection of a user join."""
        own = partial(self._clients.add, room, user)
        return _joined(*await self._everywhere(own, "add", _Membership(room, user)))

    async def remove(self, room: ToRoom, user: str) -> Replies:
        """Let every connection of a user leave."""
        own = partial(self._clients.remove, room, user)
        return _joined(*await self._everywhere(own, "remove", _Membership(room, user)))

    async def clear(self, room: ToRoom) -> Replies:
        """Let all leave."""
        return _joined(*await self._everywhere(partial(self._clients.clear, room), "clear", room))

    async def _everywhere(
        self, own: Callable[[], Coroutine[Any, Any, Any]], name: str, question: Any, timeout: float = PATIENCE
    ) -> tuple[Any, Replies]:
        """Carry something out here and on all other servers at once; nowhere, where it can't be asked."""
        cluster = self._connection()
        if cluster.alone:
            return await own(), Replies()
        asking = cluster.requester.gather_service(name, question, timeout)
        here, others = await asyncio.gather(own(), asking)
        return here, others


def offer_services(services: EventListeners, clients: Clients) -> None:
    """Let other nodes do to this node's clients what audiences are asked to do."""

    async def gather(_sender: str, ask: _Gather) -> _Gathered:
        replies = await clients.gather(ask.target, ask.event, msgspec.Raw(ask.data), ask.timeout, ANY)
        return _gathered(replies)

    async def close(_sender: str, ask: _Close) -> int:
        return _own_answer(await clients.close(ask.target, ask.code, ask.reason))

    def count(_sender: str, ask: _Count) -> int | list[str]:
        return _count(clients, ask.target)

    async def members(_sender: str, room: ToRoom) -> list[str]:
        return list((await clients.members(room)).users)

    async def add(_sender: str, ask: _Membership) -> int:
        return _own_answer(await clients.add(ask.room, ask.user))

    async def remove(_sender: str, ask: _Membership) -> int:
        return _own_answer(await clients.remove(ask.room, ask.user))

    async def clear(_sender: str, room: ToRoom) -> int:
        return _own_answer(await clients.clear(room))

    for service in (gather, close, count, members, add, remove, clear):
        services.on(service.__name__, service)


def _gathered(replies: Replies) -> _Gathered:
    """What is told of the answers."""
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
    """What the users of a node answered, and their refusals."""
    answers: dict[str, Any] = {}
    errors = {user: EventError(*error, sender=user) for user, error in gathered.errors.items()}
    # What a client said means what it would in JSON, whichever way it came.
    from_msgpack = kind.from_msgpack if kind is ANY else kind.from_client
    for read, encoded in ((from_msgpack, gathered.answers), (kind.from_json, gathered.large)):
        for user, answer in encoded.items():
            try:
                answers[user] = read(answer)
            except InvalidPayload as error:
                errors[user] = InvalidPayload(error.message, sender=user)
    return answers, errors


def _count(clients: Clients, target: Target) -> int | list[str]:
    """Count users, or name them, where each may be connected to several nodes and is to be counted once."""
    users = clients.users(target)
    return list(users) if clients.users_may_be_elsewhere else len(users)


def _own_answer(replies: Replies) -> int:
    """What one node's clients replied, as one number; a refusal is raised."""
    for error in replies.errors.values():
        raise error
    return sum(replies.values())


async def _count_here(clients: Clients, target: Target) -> int | list[str]:
    return _count(clients, target)


def _unanswered(replies: Replies) -> tuple[str, ...]:
    """Who did not give what was asked for, however that came."""
    return (*replies.missing, *replies.errors)


def _joined(own: Replies, others: Replies) -> Replies:
    """Put this node's answer and those of others together."""
    return Replies({**own, **others}, errors={**own.errors, **others.errors}, missing=others.missing)


def _merged(own: Replies, others: Replies, kind: PayloadType) -> Replies:
    """Put the answers of users together: each user once, and missing only who answered nowhere."""
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
    return Replies(answers, errors=errors, missing=(*missing, *_unanswered(others)))
