"""What the nodes of the chat tell and ask each other.

Each node knows its own clients, and asks the others whenever it has to know of theirs: so there is nothing to keep in
step, and nothing to clean up after a node that died. The one thing that all have a copy of is what was said last.
A node that was just killed is not waited for long: a newcomer sees the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from crosswire import Redis, Server, Socket

CHAT = "chat"
"""The namespace of all our rooms."""

ROOMS = ("lobby", "music", "games")
"""Rooms that are always shown; whoever joins another one makes it."""

EVERYONE = "everyone"
HISTORY = 40
"""Messages kept for those who come later, of everyone's and of each fixed room's."""

PATIENCE = 1.0
"""Seconds that nodes have to answer before somebody is let in without their word; a killed one is found out later."""

Said = dict[str, Any]
"""A message of the chat, as the page gets it."""


def meet_through(urls: Sequence[str], prefix: str) -> Redis:
    """Make the way to the others, for the nodes and for the launcher: through two Redis at once, as one may be killed
    at any moment, with what it has taken and not yet passed on."""
    return Redis(urls, prefix=prefix, delivery="redundant")


def in_room(name: str) -> str:
    """Name the place where a room's messages are kept: none is called as that of everyone's."""
    return f"#{name}"


class Claim(msgspec.Struct):
    """A name that somebody would like to have, and the key that proves whose it is."""

    name: str
    key: str


class Peers:
    """This node among the others.

    Args:
        server: of this node, not yet started.
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

    # Questions to all nodes, this one among them

    async def is_taken(self, name: str, key: str) -> bool:
        """Tell whether somebody who has another key is here under a name, on any node.

        Two who come to two nodes at the same moment may both be told no; then `duplicates="replace"` closes the older
        connection, as there is never more than one of a user.
        """
        replies = await self._cluster.gather("taken", Claim(name, key), timeout=PATIENCE)
        return any(replies.values())

    async def picture(self) -> dict[str, Any]:
        """Tell all that a newcomer should see: who is on which node, and who is in which room."""
        replies = await self._cluster.gather("here", timeout=PATIENCE)
        rooms: dict[str, set[str]] = {room: set() for room in ROOMS}
        for node in replies.values():
            for room, members in node["rooms"].items():
                rooms.setdefault(room, set()).update(members)
        return {
            "people": [person for node in replies.values() for person in node["people"]],
            "rooms": {room: sorted(members) for room, members in rooms.items()},
        }

    async def _tell_all(self) -> None:
        """Something may have been missed, while no Redis was there: give our clients the whole picture again."""
        self._server.everyone.send("picture", await self.picture(), local=True)

    # What was said: every node hears it, also those where nobody is in the room

    def remember(self, said: Said) -> None:
        """Let all nodes keep a message for those who come later."""
        self._cluster.send("said", said)

    def recent(self, place: str) -> list[Said]:
        """What was said last to `EVERYONE`, or `in_room(name)`."""
        return list(self._history.get(place, ()))

    # The other side of it

    def person(self, socket: Socket) -> dict[str, Any]:
        """What others are told of somebody."""
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
        """Learn from the others what was said before this node was there."""
        replies = await self._cluster.gather("history", include_self=False)
        for history in replies.values():
            for place, said in history.items():
                if len(said) > len(self._history[place]):
                    self._history[place] = deque(said, maxlen=HISTORY)
