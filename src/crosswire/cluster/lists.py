"""Lists of users and rooms: what nodes ask each other for them, and how the answers are joined."""

from __future__ import annotations

from heapq import nsmallest
from typing import TypeVar

import msgspec

from crosswire.cluster.clients import Clients
from crosswire.core.listeners import EventListeners
from crosswire.core.options import require_limit
from crosswire.core.targets import Target
from crosswire.errors import EventError, InvalidPayload
from crosswire.types import Locations, Replies, RoomInfo, RoomList

AnswerT = TypeVar("AnswerT")


class LocateRequest(msgspec.Struct):
    """Request for the first users of a target that are connected to a node."""

    target: Target
    prefix: str
    limit: int


class LocateAnswer(msgspec.Struct):
    """The first users of one node.

    Attributes:
        users: numbers of their connections.
        total: number of users, with those that are not listed.
        exact: whether no user that is not listed can be counted by another node too.
    """

    users: dict[str, int]
    total: int
    exact: bool


class RoomsRequest(msgspec.Struct):
    """Request for the first rooms that have members on a node."""

    namespace: str | None
    prefix: str
    limit: int


class RoomsAnswer(msgspec.Struct):
    """The first rooms of one node, as namespace, id and number of members; and the number of all."""

    rooms: list[tuple[str, str, int]]
    total: int


def offer_lists(services: EventListeners, clients: Clients) -> None:
    """Register the services with which other nodes list this node's users and rooms."""

    async def locate(_sender: str, request: LocateRequest) -> LocateAnswer:
        return _locate_answer(await clients.locate(request.target, request.prefix, require_limit(request.limit)))

    async def list_rooms(_sender: str, request: RoomsRequest) -> RoomsAnswer:
        rooms = await clients.list_rooms(request.namespace, request.prefix, require_limit(request.limit))
        return _rooms_answer(rooms)

    services.on("locate", locate)
    services.on("list_rooms", list_rooms)


def _locate_answer(here: Locations) -> LocateAnswer:
    """Return the users of this node as its answer."""
    return LocateAnswer({user: sum(nodes.values()) for user, nodes in here.users.items()}, here.total, here.exact)


def _rooms_answer(here: RoomList) -> RoomsAnswer:
    """Return the rooms of this node as its answer."""
    return RoomsAnswer([(room.namespace, room.id, room.members) for room in here.rooms], here.total)


def joined_locations(own: Locations, others: Replies, limit: int) -> Locations:
    """Join the users of this node and of the others. As each lists its first, the first of all are complete."""
    users = {user: dict(nodes) for user, nodes in own.users.items()}
    listed, total, exact = len(own.users), own.total, own.exact
    others = fitting(others, LocateAnswer)
    for node, there in others.items():
        for user, connections in there.users.items():
            users.setdefault(user, {})[node] = connections
        listed, total, exact = listed + len(there.users), total + there.total, exact and there.exact
    total -= listed - len(users)  # who is connected to several nodes was counted on each
    return Locations({user: users[user] for user in nsmallest(limit, users)}, total, exact, unanswered(others))


def joined_rooms(own: RoomList, others: Replies, limit: int) -> RoomList:
    """Join the rooms of this node and of the others. As each lists its first, the first of all are complete."""
    rooms = {(room.namespace, room.id): dict(room.nodes) for room in own.rooms}
    totals, exact = [own.total], own.exact
    others = fitting(others, RoomsAnswer)
    for node, there in others.items():
        for namespace, id_, members in there.rooms:
            rooms.setdefault((namespace, id_), {})[node] = members
        totals.append(there.total)
        exact = exact and there.total == len(there.rooms)
    listed = tuple(RoomInfo(*key, rooms[key]) for key in nsmallest(limit, rooms))
    return RoomList(listed, max(len(rooms), *totals), exact, unanswered(others))


def fitting(replies: Replies, kind: type[AnswerT]) -> Replies[AnswerT]:
    """Convert answers of services; what does not fit, as from a node of another version, is an error of its node."""
    answers, errors = dict[str, AnswerT](), dict[str, EventError](replies.errors)
    for node, answer in replies.items():
        try:
            answers[node] = msgspec.convert(answer, kind)
        except msgspec.ValidationError as error:
            errors[node] = InvalidPayload(str(error), sender=node)
    return Replies(answers, errors=errors, missing=replies.missing)


def unanswered(replies: Replies) -> tuple[str, ...]:
    """List the names that did not answer or refused."""
    return (*replies.missing, *replies.errors)
