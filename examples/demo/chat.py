"""The chat server of the demo: everything that the page and the scripted clients do passes here.

It is all of Crosswire's server side in one small program: who may connect, rooms, messages to everyone, to a room and
to one user, typed payloads, refusals, and a question to a whole room whose answers are gathered.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter, deque
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from crosswire import Close, CloseCode, EventError, Handshake, Reject, Response, Server, Socket
from terminal import Terminal

ROOMS = ("lobby", "music", "games")
"""Rooms that are always shown; whoever joins another one makes it."""

CHAT = "chat"  # the namespace of all our rooms
HISTORY = 40  # messages kept for those who come later, of everyone's and of each fixed room's

# What a client may send. Crosswire checks it before a handler runs; a client that sends anything else is told so.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=24, pattern=r"^\S(.*\S)?$")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class RoomChoice(msgspec.Struct):
    """Which room to join or to leave."""

    room: Name


class Message(msgspec.Struct):
    """Something to say: to everyone, or to the room or user of that name."""

    to: Literal["everyone", "room", "user"]
    text: Text
    name: Name | None = None


class Question(msgspec.Struct):
    """Something to ask everybody in a room."""

    room: Name
    question: Text
    options: Annotated[list[Name], msgspec.Meta(min_length=2, max_length=5)]
    seconds: Annotated[float, msgspec.Meta(gt=0, le=30)]


class Chat:
    """The server with its handlers.

    Args:
        host: address to listen on.
        port: 0 for a free one.
        terminal: gets the log.
        bot_key: what the scripted clients prove themselves with, so that the page can mark them.

    Attributes:
        server: not yet started.
        said: messages so far.
    """

    def __init__(self, host: str, port: int, terminal: Terminal, bot_key: str) -> None:
        self.server = server = Server("demo", host=host, port=port)
        self.said = 0
        self._terminal = terminal
        self._bot_key = bot_key
        self._ids = itertools.count(1)
        self._history = {place: deque[dict[str, Any]](maxlen=HISTORY) for place in (None, *ROOMS)}
        self._asking: set[str] = set()

        server.authenticate(self._who)
        server.on_connect(self._connected)
        server.on_disconnect(self._disconnected)
        server.on("join", self._join)
        server.on("leave", self._leave)
        server.on("say", self._say)
        server.on("ask", self._ask)
        server.get("/", _file("page.html"))
        for name in ("page.css", "page.js", "connection.js", "view.js"):
            server.get(f"/{name}", _file(name))

    def news(self, text: str) -> None:
        """Tell everyone something."""
        self.server.everyone.send("news", {"text": text, "at": time.time()})

    # Who comes and goes

    def _who(self, handshake: Handshake) -> str:
        """Let a client in under the name it chose. Its key is how it proves, after a loss, that the name is its own."""
        query = handshake.query
        try:
            name = msgspec.convert(query.get("name", ""), Name)
        except msgspec.ValidationError:
            raise Reject(4011, "A name has 1 to 24 characters, and no space at either end.") from None
        holder = self.server.socket_of(name)
        if holder is not None and holder.handshake.query.get("key") != query.get("key"):
            raise Reject(4011, f"{name} is here already: choose another name.")
        return name

    def _connected(self, socket: Socket) -> None:
        socket.data["bot"] = socket.handshake.query.get("key", "").startswith(self._bot_key)
        # The newcomer gets the whole picture once, and changes from then on.
        socket.send(
            "welcome",
            {
                "you": socket.user,
                "people": [_person(each) for each in self.server.sockets],
                "rooms": {room: sorted(self.server.rooms.members(CHAT, room)) for room in self._rooms()},
                "recent": list(self._history[None]),
            },
        )
        self.server.everyone.send("arrived", _person(socket), exclude=[socket.user])
        self._terminal.arrived(socket.user, len(self.server.sockets))

    def _disconnected(self, socket: Socket, close: Close) -> None:
        if close.code == CloseCode.REPLACED or self.server.socket_of(socket.user) is not None:
            return  # the user is still here, or was, on a newer connection
        self.server.everyone.send("went", {"name": socket.user})
        self._terminal.went(socket.user, len(self.server.sockets), f"{close.code} {close.reason}".strip())

    def _rooms(self) -> list[str]:
        return [*ROOMS, *sorted(self.server.rooms.ids(CHAT) - set(ROOMS))]

    # What they do

    async def _join(self, socket: Socket, choice: RoomChoice) -> dict[str, Any]:
        await socket.join(CHAT, choice.room)
        self.server.everyone.send("joined", {"room": choice.room, "name": socket.user})
        self._terminal.joined(socket.user, choice.room)
        members = self.server.rooms.members(CHAT, choice.room)
        return {"members": sorted(members), "recent": list(self._history.get(choice.room, ()))}

    async def _leave(self, socket: Socket, choice: RoomChoice) -> None:
        await socket.leave(CHAT, choice.room)
        self.server.everyone.send("left", {"room": choice.room, "name": socket.user})
        self._terminal.left(socket.user, choice.room)

    def _say(self, socket: Socket, message: Message) -> dict[str, Any]:
        said = {
            "id": next(self._ids),
            "from": socket.user,
            "to": message.to,
            "name": message.name,
            "text": message.text,
            "at": time.time(),
        }
        match message:
            case Message(to="everyone"):
                self.server.everyone.send("said", said)
                self._history[None].append(said)
            case Message(to="room", name=str(room)):
                self._require_member(socket, room)
                self.server.room(CHAT, room).send("said", said)
                if room in self._history:
                    self._history[room].append(said)
            case Message(to="user", name=str(name)):
                if self.server.socket_of(name) is None:
                    raise EventError("NOT_HERE", f"{name} is not here")
                self.server.users([name, socket.user]).send("said", said)
            case _:
                raise EventError("NO_NAME", "which room or user?")
        self.said += 1
        self._terminal.said(socket.user, message.to, message.name, message.text)
        return {"id": said["id"]}

    async def _ask(self, socket: Socket, asked: Question) -> dict[str, int]:
        """Ask everybody in a room, wait for their answers, and tell the room how it voted."""
        self._require_member(socket, asked.room)
        if asked.room in self._asking:
            raise EventError("BUSY", "one question at a time")
        room = self.server.room(CHAT, asked.room)
        self._asking.add(asked.room)
        try:
            poll = {"from": socket.user, "at": time.time(), **msgspec.to_builtins(asked)}
            replies = await room.gather("poll", poll, timeout=asked.seconds)
        finally:
            self._asking.discard(asked.room)
        votes = Counter(vote for vote in replies.values() if vote in asked.options)
        result = {option: votes[option] for option in asked.options}
        silent = len(replies.missing) + len(replies.errors)
        room.send("polled", {**poll, "votes": result, "silent": silent, "at": time.time()})
        self._terminal.polled(asked.room, asked.question, result, silent)
        return result

    def _require_member(self, socket: Socket, room: str) -> None:
        if not self.server.rooms.has(socket.user, CHAT, room):
            raise EventError("NOT_IN_ROOM", f"join #{room} first")


def _person(socket: Socket) -> dict[str, Any]:
    return {"name": socket.user, "bot": socket.data.get("bot", False)}


TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    # Nothing but our own files may run or style the page, whatever somebody says in the chat.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


def _file(name: str) -> Any:
    """Make a handler that answers with a file of this directory; read each time, so that editing it shows at once."""
    path = Path(__file__).with_name(name)
    headers = {"Content-Type": f"{TYPES[path.suffix]}; charset=utf-8", **HEADERS}
    return lambda: Response(body=path.read_bytes(), headers=headers)
