"""Users, rooms, events and connections that come once leave nothing behind."""

from __future__ import annotations

import gc
import sys
from collections import Counter

from crosswire.server.authentication import Verdict
from crosswire.types import Close
from tests.support.fakes import FakeServer

MANY = 5_000
LEFT = 200
"""Number of objects of a kind that may be left: caches of a fixed size, and what the log keeps."""


def objects() -> Counter[str]:
    gc.collect()
    return Counter(type(each).__name__ for each in gc.get_objects())


async def use_once(server: FakeServer, numbers: range) -> None:
    for number in numbers:
        session, _ = server.connect(Verdict(user=f"user {number}"))
        await session.socket.join("chat", f"room {number}")
        await session.socket.join(f"namespace {number}", "1")
        session.text(f'{{"event":"name {number}"}}')
        session.text(f'{{"event":"name {number}","callbackId":"id {number}"}}')
        session.text(f'{{"callId":"{number}","payload":1}}')
        session.text(f'{{"event":"bad {number}"')
        session.text('{"event":"$background"}')
        if number % 2:
            session.text('{"event":"$foreground"}')
        await session.socket.identify(f"other {number}")
        session.pong(b"%d" % number)
        session.closed(Close(1006))


async def test_names_that_come_once_leave_nothing() -> None:
    server = FakeServer()
    server.events.on("known", lambda: None)
    await use_once(server, range(1_000))
    before, strings = objects(), sys.getallocatedblocks()
    await use_once(server, range(1_000, 1_000 + MANY))
    grown = objects() - before
    assert {kind: number for kind, number in grown.items() if number > LEFT} == {}
    assert sys.getallocatedblocks() - strings < MANY  # not one string for each of the five names
    assert sum(len(slot) for slot in server.wheel._slots.values()) < 10
    registry = server.registry
    assert (len(registry.users.users), registry.rooms.number, len(server.sessions)) == (0, 0, 0)
    await server.end()


async def test_a_client_that_hides_and_shows_has_one_timer() -> None:
    server = FakeServer()
    session, _ = server.connect()
    before = sum(len(slot) for slot in server.wheel._slots.values())
    for _ in range(10_000):
        session.text('{"event":"$background","payload":null}')
        session.text('{"event":"$foreground","payload":null}')
    assert sum(len(slot) for slot in server.wheel._slots.values()) == before
    session.text('{"event":"$background","payload":null}')
    session.closed(Close(1006))
    assert sum(len(slot) for slot in server.wheel._slots.values()) == 0
    assert max(map(sys.getsizeof, server.wheel._slots.values())) < 1000
    await server.end()
