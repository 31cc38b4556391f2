"""The chat on one node: handlers of everything that the page and the scripted clients do.

It shows all of Crosswire's server side in one small program: authentication, rooms, messages to everyone, to a room and
to one user, typed payloads, refusals, and a question to a whole room whose answers are gathered. None of it depends on
the node to which a user is connected; the calls between nodes are in peers.py.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Container
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from crosswire import Close, CloseCode, EventError, Handshake, Redis, Reject, Response, Server, Socket
from peers import CHAT, EVERYONE, Peers, in_room
from terminal import Terminal
from vitals import Vitals

# Payloads of clients. Crosswire checks them before a handler runs, and refuses others.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=24, pattern=r"^\S(.*\S)?$")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class RoomChoice(msgspec.Struct):
    """Payload of `join` and `leave`: a room."""

    room: Name


class Message(msgspec.Struct):
    """Payload of `say`: a text to everyone, or to the room or user of that name. The mark is returned with it."""

    to: Literal["everyone", "room", "user"]
    text: Text
    name: Name | None = None
    mark: Name | None = None


class Question(msgspec.Struct):
    """Payload of `ask`: a question to everybody in a room."""

    room: Name
    question: Text
    options: Annotated[list[Name], msgspec.Meta(min_length=2, max_length=5)]
    seconds: Annotated[float, msgspec.Meta(gt=0, le=30)]


class Chat:
    """The server of one node, with its handlers.

    Args:
        name: name of the node.
        host: address to listen on.
        port: port to listen on; 0 for a free one.
        redis: bus of the nodes.
        bot_key: secret by which the scripted clients prove that they are bots, so that the page can mark them.
        killable: names of the nodes and the Redis that the page may kill.

    Attributes:
        server: the server, not yet started.
    """

    def __init__(
        self, name: str, host: str, port: int, redis: Redis, bot_key: str, killable: Container[str] = ()
    ) -> None:
        self.server = server = Server(name, host=host, port=port, redis=redis)
        # Rooms keep their last messages, so that a client whose node is killed gets from another one what it missed.
        server.history(CHAT, size=200, ttl=120)
        self._peers = Peers(server)
        self._vitals = Vitals(server, killable)
        self._terminal = Terminal(name)
        self._bot_key = bot_key
        self._asking: set[str] = set()

        server.authenticate(self._who)
        server.on_connect(self._connected)
        server.on_disconnect(self._disconnected)
        server.on("join", self._join)
        server.on("leave", self._leave)
        server.on("say", self._say)
        server.on("ask", self._ask)
        server.get("/", _file(PAGE / "page.html"))
        for path in PAGE.iterdir():
            server.get(f"/{path.name}", _file(path))

    # Connections

    async def _who(self, handshake: Handshake) -> str:
        """Accept a client under the name it chose. After a loss of the connection, its key proves that it owns it."""
        query = handshake.query
        try:
            name = msgspec.convert(query.get("name", ""), Name)
        except msgspec.ValidationError:
            raise Reject(4011, "A name has 1 to 24 characters, and no space at either end.") from None
        if await self._peers.is_taken(name, query.get("key", "")):
            raise Reject(4011, f"{name} is here already: choose another name.")
        return name

    async def _connected(self, socket: Socket) -> None:
        socket.data["bot"] = socket.handshake.query.get("key", "").startswith(self._bot_key)
        self.server.everyone.send("arrived", self._peers.person(socket), exclude=[socket.user])
        self._terminal.arrived(socket.user, len(self.server.sockets))
        # A newcomer gets the whole picture once, and only changes after that.
        picture = await self._peers.picture()
        recent = self._peers.recent(EVERYONE)
        socket.send(
            "welcome",
            {"you": socket.user, "at": time.time(), "recent": recent, "vitals": self._vitals.now(), **picture},
        )

    def _disconnected(self, socket: Socket, close: Close) -> None:
        if close.code == CloseCode.REPLACED or self.server.socket_of(socket.user) is not None:
            return  # the user has a newer connection, to this node or to another
        self.server.everyone.send("went", {"name": socket.user, "node": self.server.name})
        self._terminal.went(socket.user, len(self.server.sockets), f"{close.code} {close.reason}".strip())

    # Events of clients

    async def _join(self, socket: Socket, choice: RoomChoice) -> dict[str, Any]:
        await socket.join(CHAT, choice.room)
        self.server.everyone.send("joined", {"room": choice.room, "name": socket.user})
        self._terminal.joined(socket.user, choice.room)
        members = await self.server.room(CHAT, choice.room).members()
        return {"members": sorted(members), "recent": self._peers.recent(in_room(choice.room))}

    async def _leave(self, socket: Socket, choice: RoomChoice) -> None:
        await socket.leave(CHAT, choice.room)
        self.server.everyone.send("left", {"room": choice.room, "name": socket.user})
        self._terminal.left(socket.user, choice.room)

    async def _say(self, socket: Socket, message: Message) -> dict[str, Any]:
        said = {
            "id": secrets.token_hex(6),  # a counter would begin again with a restarted node
            "from": socket.user,
            "node": self.server.name,
            "to": message.to,
            "name": message.name,
            "text": message.text,
            "mark": message.mark,
            "at": time.time(),
        }
        match message:
            case Message(to="everyone"):
                self.server.everyone.send("said", said)
                self._peers.remember(said)
            case Message(to="room", name=str(room)):
                self._require_member(socket, room)
                self.server.room(CHAT, room).send("said", said)
                self._peers.remember(said)
            case Message(to="user", name=str(name)):
                if not await self.server.user(name).count():
                    raise EventError("NOT_HERE", f"{name} is not here")
                self.server.users([name, socket.user]).send("said", said)
            case _:
                raise EventError("NO_NAME", "which room or user?")
        self._terminal.said(socket.user, message.to, message.name, message.text)
        return {"id": said["id"]}

    async def _ask(self, socket: Socket, asked: Question) -> dict[str, int]:
        """Ask everybody in a room, wait for their answers, and send the result to the room."""
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
        if not self.server.local_rooms.has(socket.user, CHAT, room):
            raise EventError("NOT_IN_ROOM", f"join #{room} first")


PAGE = Path(__file__).with_name("page")
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    # Only our own files may run in the page or style it, whatever the messages contain.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


def _file(path: Path) -> Any:
    """Return a handler that answers with a file. It is read each time, so that an edit shows at once."""
    headers = {"Content-Type": f"{TYPES[path.suffix]}; charset=utf-8", **HEADERS}
    return lambda: Response(body=path.read_bytes(), headers=headers)
