"""A member of the cluster that a test controls."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from crosswire.cluster.bus_delay import PING
from crosswire.cluster.dialect import AskedRequest, Asker
from crosswire.cluster.interface import Bus
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core import envelopes
from crosswire.core.channel_names import Channels
from crosswire.core.codecs import Codec
from crosswire.core.envelopes import SERVICE, Answer, Beat, Doubt, Envelope, Goodbye, NameTaken
from crosswire.core.payload_types import RawPayload
from crosswire.errors import EventError
from tests.support.ignored_events import IgnoredPortEvents

_REVOCATIONS = f"{SERVICE}revocations"
"""What each node asks a new one."""


class Request(NamedTuple):
    """A request that a scripted node received."""

    asker: Asker
    sender: str
    event: str


class ScriptedNode:
    """A member of the cluster that records what it receives and sends only what the test tells it to.

    Attributes:
        requests: the requests that it received, but for those that nodes send when they see a new one.
        beats: the beats of other nodes.
        taken: the answers to its claim of a name.
        answers_pings: whether it answers the question whether it is alive.
    """

    def __init__(self, bus: Bus, name: str, *, serves: bool = False) -> None:
        self.name = name
        self.incarnation = secrets.token_hex(8)
        self.since = time.time()
        self.serves = serves
        self.channels = Channels(bus.prefix)
        self.port = OrderedPort(bus, IgnoredPortEvents(), name, bytes.fromhex(self.incarnation))
        self.native = NativeDialect(self.port, self.channels, name, self.incarnation)
        self.requests: list[Request] = []
        self.beats: list[Beat] = []
        self.taken: list[NameTaken] = []
        self.answers_pings = False

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
        """Publish an envelope on any channel."""
        self.port.publish(channel, envelopes.encode(envelope))

    def say_goodbye(self) -> None:
        """Say goodbye, and listen no more: others check it."""
        self.native.announce(Goodbye(self.name, self.incarnation, time.time_ns() // 1000))
        for channel in self.native.own_channels:
            self.port.unsubscribe(channel)

    def answer_as(self, sender: str, asker: str, call_id: str, value: Any) -> None:
        """Answer a call in the name of another node."""
        self.say(self.channels.incarnation(asker), Answer(sender, call_id, envelopes.pack(value)))

    # RequestInbox and ReplyInbox

    def event(self, *_event: Any, **_more: Any) -> None: ...

    def request(self, asker: Asker, sender: str, event: str, *_rest: Any, **_more: Any) -> None:
        if event == f"{SERVICE}{PING}":
            if self.answers_pings:
                asker.answer(None)
        elif event != _REVOCATIONS:
            self.requests.append(Request(asker, sender, event))

    def all_requested(self, asked: Sequence[AskedRequest]) -> None:
        for each in asked:
            self.request(each, each.request.sender, each.request.event)

    def answered(self, sender: str, call_id: str, codec: Codec, payload: RawPayload) -> None: ...

    def all_answered(self, answers: Sequence[Answer]) -> None: ...

    def refused(self, sender: str, call_id: str, error: EventError) -> None: ...

    # MemberInbox

    def beat(self, beat: Beat) -> None:
        self.beats.append(beat)

    def unproven_beat(self, beat: Beat) -> None: ...

    def goodbye(self, goodbye: Goodbye) -> None: ...

    def name_taken(self, taken: NameTaken) -> None:
        self.taken.append(taken)

    def doubted(self, doubt: Doubt) -> None: ...


@asynccontextmanager
async def scripted_node(bus: Bus, name: str = "scripted", *, serves: bool = False) -> AsyncIterator[ScriptedNode]:
    """Join the cluster with a scripted node that sends one beat; a test of over two seconds must send more."""
    scripted = ScriptedNode(bus, name, serves=serves)
    scripted.native.listen_to_nodes(scripted, scripted, scripted)
    await scripted.port.start()
    try:
        for channel in scripted.native.own_channels:
            await scripted.port.wait_listening(channel)
        scripted.native.announce(scripted.beat_of(asks=True))
        yield scripted
    finally:
        await scripted.port.stop()
        await asyncio.sleep(0)
