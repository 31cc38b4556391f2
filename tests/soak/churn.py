"""Churn on three nodes while Redis kills their subscriptions: the subscriptions equal the model after each pause."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from crosswire.errors import NotConnected
from crosswire.testing.redis_process import RedisProcess
from crosswire.testing.socket_peer import SocketPeer, connect
from crosswire.types import Close
from tests.soak.nodes import Nodes, nodes
from tests.soak.outcome import Outcome
from tests.support.attacks import event

TITLE = (
    "three nodes; users join and leave rooms 500 times a second, log in again on other nodes, and Redis drops every "
    "subscriber each 2 s; in each pause the subscriptions of Redis are compared with what clients know"
)
SECONDS = 300.0
NAMES = ("a", "b", "c")
USERS = 120
ROOMS = 40
CHANGES = 500
"""Joins and leaves a second."""
LOGINS = 5
"""Logins of users who are connected already, a second, on any node."""
KILL_INTERVAL = 2.0
"""Seconds between two kills of all subscribers."""
ROUND = 12.0
"""Seconds of churn between two pauses."""
SETTLE_TIMEOUT = 2.0
"""Seconds after the beginning of a pause in which the subscriptions equal the model."""
_SLICE = 0.02


@dataclass(slots=True)
class User:
    """A user, as the client knows it.

    Attributes:
        name: of the user.
        node: on which the newest connection is.
        peer: the connection, or None while there is none.
        rooms: that the connection is in, or out of, once all calls are answered.
    """

    name: str
    node: str = ""
    peer: SocketPeer | None = None
    rooms: set[str] = field(default_factory=set)


class Crowd:
    """All users, and what they do."""

    def __init__(self, started: Nodes, seed: int) -> None:
        self._ports = started.ports
        self._choose = random.Random(seed)
        self._readers: set[asyncio.Task[None]] = set()
        self._calls = 0
        self._waiting: dict[str, SocketPeer] = {}  # whose calls are not answered yet
        self.users = [User(f"user{number}") for number in range(USERS)]
        self.changes = self.logins = 0
        self.closes: dict[int, int] = {}

    async def log_in(self, user: User) -> None:
        """Connect a user to any node; a connection that there is will be replaced."""
        user.node = self._choose.choice(NAMES)
        peer = await connect(("127.0.0.1", self._ports[user.node]), f"/?id={user.name}")
        assert isinstance(peer, SocketPeer), peer
        user.peer, user.rooms = peer, set()
        reader = asyncio.create_task(self._read(user, peer))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        self.logins += 1

    def change(self) -> None:
        """Let a user join or leave a room."""
        user = self._choose.choice(self.users)
        if user.peer is None:
            return
        room = f"room{self._choose.randrange(ROOMS)}"
        joins = room not in user.rooms
        (user.rooms.add if joins else user.rooms.discard)(room)
        self._calls += 1
        call_id = f"c{self._calls}"
        self._waiting[call_id] = user.peer
        user.peer.write(event("join" if joins else "leave", room, call_id))
        self.changes += 1

    @property
    def unanswered(self) -> int:
        """Number of calls that wait for their answer, on connections that are still there."""
        return len(self._waiting)

    def model(self) -> dict[str, int]:
        """Return the channels of users and rooms, with the number of nodes that must listen on each."""
        places: dict[str, set[str]] = {}
        for user in self.users:
            if user.peer is not None:
                places.setdefault(f"u:{user.name}", set()).add(user.node)
                for room in user.rooms:
                    places.setdefault(f"r:4:soak{room}", set()).add(user.node)
        return {channel: len(names) for channel, names in places.items()}

    async def leave(self) -> None:
        """Drop all connections."""
        for user in self.users:
            if user.peer is not None:
                user.peer.abort()
        await asyncio.gather(*self._readers)

    async def _read(self, user: User, peer: SocketPeer) -> None:
        try:
            while True:
                message = await peer.receive(timeout=3600)
                if isinstance(message, str):
                    self._answered(message)
                elif isinstance(message, Close):
                    self.closes[message.code] = self.closes.get(message.code, 0) + 1
        except NotConnected:
            if user.peer is peer:
                user.peer = None
            self._waiting = {call_id: asked for call_id, asked in self._waiting.items() if asked is not peer}

    def _answered(self, message: str) -> None:
        call_id = message.rpartition('"callbackId":"')[2].partition('"')[0]
        self._waiting.pop(call_id, None)


async def run(seconds: float = SECONDS, round_seconds: float = ROUND, seed: int = 1) -> Outcome:
    """Run the churn for a time, with pauses."""
    outcome = Outcome("churn", TITLE)
    async with nodes() as started:
        redis = await started.redis()
        await started.start_all(NAMES, urls=[redis.url])
        crowd = Crowd(started, seed)
        for user in crowd.users:
            await crowd.log_in(user)
        try:
            settled, wrong, kills = await _rounds(crowd, redis, seconds, round_seconds)
            codes = sorted(crowd.closes)
        finally:
            await crowd.leave()
    outcome.note("joins and leaves", f"{crowd.changes:,}")
    outcome.note("logins", f"{crowd.logins:,}, of them {crowd.closes.get(4012, 0):,} replaced a connection")
    outcome.note("kills of all subscribers", str(kills))
    outcome.require("codes with which connections ended", codes, [4012])
    outcome.require(f"pauses after which a subscription was wrong, of {len(settled)}", len(wrong), 0)
    for difference in wrong[:3]:
        outcome.note("wrong", difference)
    outcome.limit("seconds until the subscriptions were right", max(settled), SETTLE_TIMEOUT, " s", 2)
    return outcome


async def _rounds(
    crowd: Crowd, redis: RedisProcess, seconds: float, round_seconds: float
) -> tuple[list[float], list[str], int]:
    loop = asyncio.get_running_loop()
    end, settled, wrong, kills = loop.time() + seconds, list[float](), list[str](), 0
    while loop.time() < end:
        kills += await _churn(crowd, redis, round_seconds)
        took, difference = await _settle(crowd, redis)
        settled.append(took)
        if difference:
            wrong.append(difference)
    return settled, wrong, kills


async def _churn(crowd: Crowd, redis: RedisProcess, seconds: float) -> int:
    """Change as fast as said; return how often the subscribers were killed."""
    loop = asyncio.get_running_loop()
    begun, changes, logins, kills = loop.time(), 0, 0, 0
    while (passed := loop.time() - begun) < seconds:
        if passed >= (kills + 1) * KILL_INTERVAL:
            kills += 1
            await asyncio.to_thread(redis.command, "CLIENT", "KILL", "TYPE", "pubsub")
        for _ in range(min(int(passed * CHANGES) - changes, CHANGES)):
            crowd.change()
            changes += 1
        if int(passed * LOGINS) > logins:
            logins += 1
            await crowd.log_in(crowd._choose.choice(crowd.users))
        await asyncio.sleep(_SLICE)
    await asyncio.to_thread(redis.command, "CLIENT", "KILL", "TYPE", "pubsub")
    return kills + 1


async def _settle(crowd: Crowd, redis: RedisProcess) -> tuple[float, str]:
    """Wait until the subscriptions equal the model; return the seconds that took, and what is still wrong then."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while True:
        listening = await asyncio.to_thread(_subscriptions, redis)
        model = crowd.model()
        passed = loop.time() - begun
        if listening == model and not crowd.unanswered:
            return passed, ""
        if passed > 3 * SETTLE_TIMEOUT:
            return passed, f"{crowd.unanswered} calls without an answer; {_difference(listening, model)}"
        await asyncio.sleep(0.05)


def _subscriptions(redis: RedisProcess) -> dict[str, int]:
    channels = redis.command("PUBSUB", "CHANNELS", "cw:[ur]:*")
    flat = redis.command("PUBSUB", "NUMSUB", *channels) if channels else []
    counts = dict(zip(flat[::2], flat[1::2], strict=True))
    return {_text(name).removeprefix("cw:"): count for name, count in counts.items() if count}


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _difference(listening: dict[str, int], model: dict[str, int]) -> str:
    names = [name for name in listening.keys() | model.keys() if listening.get(name) != model.get(name)]
    return ", ".join(f"{name}: {listening.get(name, 0)} for {model.get(name, 0)}" for name in sorted(names)[:5])
