"""Rooms that keep history, while ``on_open`` runs, and in what order; the rest is in ``spec/recovery.json``."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from crosswire import RoomState
from crosswire.types import Close
from tests.support.loops import on_instant_loop
from tests.unit.client.fake_client import FakeClient, settle

pytestmark = on_instant_loop


def room(at: str | None, recovered: bool | None = None) -> str:
    payload = {"room": ["chat", "1"], "at": at, "recovered": recovered, "reason": None}
    return json.dumps({"event": "$room", "payload": payload})


def said(data: Any, at: str) -> str:
    return json.dumps({"event": "said", "payload": data, "at": at})


class Connected:
    """A client whose connection is open, and what its handlers were called with."""

    def __init__(self) -> None:
        self.fake = FakeClient()
        self.client = self.fake.client
        self.seen: list[Any] = []
        self.client.on_room(lambda room: self.seen.append(room.recovered))
        self.client.on("said", self.seen.append)
        self.connecting = asyncio.create_task(self.client.connect())

    async def open(self) -> None:
        await settle()
        self.fake.last.open()
        self.fake.last.receive('{"event":"$ready"}')
        await settle()

    @property
    def offered(self) -> str:
        return self.fake.targets[-1].url.partition("&_cw_at=")[2]

    async def close(self) -> None:
        await self.client.close()
        await asyncio.gather(self.connecting, return_exceptions=True)


async def test_rooms_and_their_messages_wait_for_on_open_in_their_order() -> None:
    opened, connected = asyncio.Event(), Connected()
    connected.client.on_open(opened.wait)
    await connected.open()
    for text in (said("before", "AAAAAAAA.4"), room("AAAAAAAA.4"), said("four", "AAAAAAAA.4"), said("5", "AAAAAAAA.5")):
        connected.fake.last.receive(text)
    assert connected.seen == []
    opened.set()
    await settle()
    assert connected.seen == ["before", None, "5"]
    await connected.close()


async def test_messages_that_a_close_discards_are_recovered_by_the_next_connection() -> None:
    connected = Connected()
    await connected.open()
    connected.fake.last.receive(room("AAAAAAAA.4"))
    connected.fake.last.end(Close(1006))
    connected.client.on_open(asyncio.Event().wait, once=True)
    await asyncio.sleep(3)
    await connected.open()
    connected.fake.last.receive(room("AAAAAAAA.4", recovered=True))
    connected.fake.last.receive(said("five", "AAAAAAAA.5"))
    await connected.client.close()
    assert connected.seen == [None]
    again = asyncio.create_task(connected.client.connect())
    await connected.open()
    assert connected.offered == "AAAAAAAA.4"
    await again
    await connected.close()


async def test_messages_that_are_handled_after_the_next_attempt_began_are_not_handled_twice() -> None:
    opened, connected = asyncio.Event(), Connected()
    await connected.open()
    connected.fake.last.receive(room("AAAAAAAA.4"))
    connected.fake.last.end(Close(1006))
    connected.client.on_open(opened.wait, once=True)
    await asyncio.sleep(3)
    await connected.open()
    connected.fake.last.receive(room("AAAAAAAA.4", recovered=True))
    connected.fake.last.receive(said("five", "AAAAAAAA.5"))
    connected.client.reconnect()
    await settle()
    assert connected.offered == "AAAAAAAA.4"
    opened.set()
    await connected.open()
    connected.fake.last.receive(room("AAAAAAAA.4", recovered=True))
    for offset in (5, 6):
        connected.fake.last.receive(said(offset, f"AAAAAAAA.{offset}"))
    await settle()
    assert connected.seen == [None, True, "five", True, 6]
    await connected.close()


async def test_an_asynchronous_handler_of_on_room_begins_before_those_of_later_messages() -> None:
    connected, order = Connected(), list[Any]()

    @connected.client.on_room
    async def changed(room: RoomState) -> None:
        order.append(room)

    @connected.client.on("said")
    def hear(data: str) -> None:
        order.append(data)

    await connected.open()
    connected.fake.last.receive(room("AAAAAAAA.4"))
    connected.fake.last.receive(said("five", "AAAAAAAA.5"))
    await settle()
    assert order == [RoomState("chat", "1", None), "five"]
    await connected.close()


async def test_handlers_of_on_room_are_added_and_removed_as_those_of_other_hooks() -> None:
    connected, called = Connected(), list[str]()
    connected.client.on_room(lambda: called.append("once"), once=True)
    connected.client.on_room(lambda: called.append("tagged"), tag="t")
    await connected.open()
    connected.fake.last.receive(room("AAAAAAAA.4"))
    connected.client.off("on_room", "t")
    connected.fake.last.receive(room("AAAAAAAA.5", recovered=True))
    assert called == ["once", "tagged"]
    assert connected.seen == [None, True]
    await connected.close()


async def test_on_message_sees_a_message_that_is_dropped() -> None:
    connected, raw = Connected(), list[Any]()
    await connected.open()
    connected.fake.last.receive(room("AAAAAAAA.4"))
    connected.client.on_message(raw.append)
    connected.fake.last.receive(said("four", "AAAAAAAA.4"))
    assert (len(raw), connected.seen) == (1, [None])
    await connected.close()


async def test_a_notice_that_can_not_be_read_is_ignored(caplog: Any) -> None:
    connected = Connected()
    await connected.open()
    connected.fake.last.receive('{"event":"$room","payload":{"room":"chat"}}')
    connected.fake.last.receive('{"event":"$left","payload":null}')
    connected.fake.last.receive('{"event":"$other","payload":null}')
    assert connected.seen == []
    assert "$room of the server can't be read" in caplog.text
    await connected.close()
