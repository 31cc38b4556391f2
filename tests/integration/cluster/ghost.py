"""A member of the cluster that does nothing but what a test tells it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from crosswire.cluster.dialect import Asker
from crosswire.cluster.interface import Bus
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core import envelopes
from crosswire.core.channel_names import Channels
from crosswire.core.envelopes import Answer, Beat, Envelope, Goodbye, NameTaken
from crosswire.core.messages import Codec
from crosswire.core.payloads import RawPayload
from crosswire.errors import EventError
from tests.support.ports import Unconcerned


class Request(NamedTuple):
    """What the ghost was asked."""

    asker: Asker
    sender: str
    event: str


class Ghost:
    """Says that it is there, notes what it is asked, and answers nothing by itself.

    Attributes:
        requests: what it was asked.
        beats: what others said of themselves.
        taken: what others said of its name.
    """

    def __init__(self, bus: Bus, name: str, *, serves: bool = False) -> None:
        self.name = name
        self.incarnation = secrets.token_hex(8)
        self.since = time.time()
        self.serves = serves
        self.channels = Channels(bus.prefix)
        self.port = OrderedPort(bus, Unconcerned(), name, bytes.fromhex(self.incarnation))
        self.native = NativeDialect(self.port, self.channels, name, self.incarnation)
        self.requests: list[Request] = []
        self.beats: list[Beat] = []
        self.taken: list[NameTaken] = []

    def beat_of(self, *, asks: bool = False, **fields: Any) -> Beat:
        about: dict[str, Any] = {
            "name": self.name,
            "incarnation": self.incarnation,
            "since": self.since,
            "stamp": time.time_ns() // 1000,
            "serves": self.serves,
            "paths": self.port.paths,
            "asks": asks,
        }
        return Beat(**{**about, **fields})

    def say(self, channel: bytes, envelope: Envelope) -> None:
        """Publish anything anywhere."""
        self.port.publish(channel, envelopes.encode(envelope))

    def say_goodbye(self) -> None:
        self.native.announce(Goodbye(self.name, self.incarnation, time.time_ns() // 1000))

    def answer_as(self, sender: str, asker: str, call_id: str, value: Any) -> None:
        """Answer in somebody's name, to the incarnation of whoever asked."""
        self.say(self.channels.incarnation(asker), Answer(sender, call_id, envelopes.pack(value)))

    # EventInbox and ReplyInbox

    def event(self, sender: str, event: str, codec: Codec, payload: RawPayload) -> None: ...

    def request(self, asker: Asker, sender: str, event: str, codec: Codec, payload: RawPayload) -> None:
        self.requests.append(Request(asker, sender, event))

    def answered(self, sender: str, call_id: str, codec: Codec, payload: RawPayload) -> None: ...

    def refused(self, sender: str, call_id: str, error: EventError) -> None: ...

    # MemberInbox

    def beat(self, beat: Beat) -> None:
        self.beats.append(beat)

    def goodbye(self, goodbye: Goodbye) -> None: ...

    def name_taken(self, taken: NameTaken) -> None:
        self.taken.append(taken)


@asynccontextmanager
async def haunted(bus: Bus, name: str = "ghost", *, serves: bool = False) -> AsyncIterator[Ghost]:
    """A ghost that beats once; if it is to live for more than two seconds, let it beat again."""
    ghost = Ghost(bus, name, serves=serves)
    ghost.native.attend(ghost, ghost, ghost)
    await ghost.port.start()
    try:
        for channel in ghost.native.own_channels:
            await ghost.port.listening(channel)
        ghost.native.announce(ghost.beat_of(asks=True))
        yield ghost
    finally:
        await ghost.port.stop()
        await asyncio.sleep(0)
