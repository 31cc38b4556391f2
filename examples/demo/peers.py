"""Events and calls between the nodes of the chat.

Each node knows its own clients, and asks the others when it needs to know theirs. So there is no state to synchronise,
and nothing to clean up after a node that died. Only the last messages are copied to all nodes. Nodes do not wait long
for one that was just killed: a newcomer sees the clients of the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from crosswire import Redis, Server, Socket

CHAT = "chat"
"""Namespace of all rooms of the chat."""

ROOMS = ("lobby", "music", "games")
"""Rooms that are always shown; others exist while somebody is in them."""

EVERYONE = "everyone"
HISTORY = 40
"""Messages kept for those who come later: to everyone, and to each fixed room."""

ANSWER_TIMEOUT = 1.0
"""Seconds that nodes have to answer before a newcomer is let in without their answers."""

Said = dict[str, Any]
"""A message of the chat, as the page receives it."""


def meet_through(urls: Sequence[str], prefix: str) -> Redis:
    """Return the bus for the nodes and the launcher. Each message takes two Redis, as one of them may be killed at any
    moment, before it has passed on the messages that it received."""
    return Redis(urls, prefix=prefix, delivery="redundant")


def in_room(name: str) -> str:
    """Return the key under which a room's messages are kept; it differs from `EVERYONE`."""
    return f"#{name}"


class Claim(msgspec.Struct):
    """A name that a newcomer would like to have, and the key that proves who owns it."""

    name: str
    key: str


class Peers:
    """Communication of this node with the others.

    Args:
        server: server of this node, not yet started.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._cluster = cluster = server.cluster
        self._history = {place: deque[Said](maxlen=HISTORY) for place in (EVERYONE, *map(in_room, ROOMS))}

        server.on_start(self._meet)
        cluster.on("taken", self._taken)
        cluster.on("here", self._here)
        cluster.on("history", self._tell_history)
        cluster.on("said", self._said)
        cluster.on_gap(self._tell_all)

    # Calls to all nodes, including this one

    async def is_taken(self, name: str, key: str) -> bool:
        """Return whether somebody with another key has the name, on any node.

        If two newcomers connect to two nodes at the same moment, both may get the name; then `duplicates="replace"`
        closes the older connection, as a user has only one.
        """
        replies = await self._cluster.gather("taken", Claim(name, key), timeout=ANSWER_TIMEOUT)
        return any(replies.values())

    async def picture(self) -> dict[str, Any]:
        """Return the users of each node and the members of each room, for a newcomer."""
        replies = await self._cluster.gather("here", timeout=ANSWER_TIMEOUT)
        rooms: dict[str, set[str]] = {room: set() for room in ROOMS}
        for node in replies.values():
            for room, members in node["rooms"].items():
                rooms.setdefault(room, set()).update(members)
        return {
            "people": [person for node in replies.values() for person in node["people"]],
            "rooms": {room: sorted(members) for room, members in rooms.items()},
        }

    async def _tell_all(self) -> None:
        """Send our clients the whole picture again: while no Redis was there, events may have been missed."""
        self._server.everyone.send("picture", await self.picture(), local=True)

    # Messages: every node receives all of them, also if nobody on it is in the room

    def remember(self, said: Said) -> None:
        """Let all nodes keep a message for newcomers."""
        self._cluster.send("said", said)

    def recent(self, place: str) -> list[Said]:
        """Return the last messages to `EVERYONE`, or `in_room(name)`."""
        return list(self._history.get(place, ()))

    # Handlers of these events and calls

    def person(self, socket: Socket) -> dict[str, Any]:
        """Return the description of a user for the others."""
        return {"name": socket.user, "bot": socket.data.get("bot", False), "node": self._server.name}

    def _taken(self, _sender: str, claim: Claim) -> bool:
        holder = self._server.socket_of(claim.name)
        return holder is not None and holder.handshake.query.get("key") != claim.key

    def _here(self) -> dict[str, Any]:
        rooms = self._server.local_rooms
        return {
            "people": [self.person(socket) for socket in self._server.sockets],
            "rooms": {room: sorted(rooms.members(CHAT, room)) for room in rooms.ids(CHAT)},
        }

    def _tell_history(self) -> dict[str, list[Said]]:
        return {place: list(said) for place, said in self._history.items()}

    def _said(self, _sender: str, said: Said) -> None:
        place = in_room(said["name"]) if said["to"] == "room" else EVERYONE
        if place in self._history:
            self._history[place].append(said)

    async def _meet(self) -> None:
        """Get the last messages from the other nodes, when this one starts."""
        replies = await self._cluster.gather("history", include_self=False)
        for history in replies.values():
            for place, said in history.items():
                if len(said) > len(self._history[place]):
                    self._history[place] = deque(said, maxlen=HISTORY)
