"""Messages that need not be sent, in both kinds of outboxes."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Protocol

import pytest

from crosswire.core.event_policies import DropPolicyName, MessagePolicy
from crosswire.core.skipped_messages import Droppable, SkippedMessages
from crosswire.runtime.flusher import Flusher
from crosswire.transport.message_outbox import MessageOutbox
from crosswire.transport.outbox import Outbox
from crosswire.transport.slow_readers import SlowReaders
from crosswire.transport.watermarks import HIGH_WATER_MARK

LIMIT = 4000


class HeldUpOutbox(Protocol):
    """An outbox whose writer is held up until :meth:`resume`."""

    overflows: int

    @property
    def outbox(self) -> Outbox | MessageOutbox: ...
    def push(self, data: Any) -> None: ...
    def offer(self, data: Any, droppable: Droppable) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    @property
    def sent(self) -> list[Any]: ...


class Events:
    """Counts the overflows."""

    def __init__(self) -> None:
        self.overflows = 0

    def overflowed(self) -> None:
        self.overflows += 1

    def fell_behind(self) -> None:
        raise AssertionError("it takes no time")


class Framed(Events):
    """The outbox of WebSocket frames; its writer keeps what the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = self.taken = 0
        self.written = b""
        self.fills = False
        self.outbox = Outbox(self, Flusher(), LIMIT, self, SlowReaders(30))
        self.pause, self.resume = self.outbox.pause, self.outbox.resume

    def write_frames(self, data: bytes) -> None:
        self.written += data
        if self.fills:
            self.waiting += len(data)
            self.outbox.pause()

    def set_low_water_mark(self, low: int | None) -> None:
        raise AssertionError("nobody waits")

    def push(self, data: Any) -> None:
        self.outbox.push(json.dumps(data).encode() + b"\n")

    def offer(self, data: Any, droppable: Droppable) -> None:
        self.outbox.offer(json.dumps(data).encode() + b"\n", droppable)

    @property
    def sent(self) -> list[Any]:
        return [json.loads(line) for line in self.written.splitlines()]


class Unframed(Events):
    """The outbox of whole messages."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Any] = []
        self.outbox = MessageOutbox(self, Flusher(), LIMIT, self, SlowReaders(30))
        self.pause = self.outbox.pause

    def write(self) -> None:
        while (message := self.outbox.take()) is not None:
            self.messages.append(message)

    def resume(self) -> None:
        self.write()
        self.outbox.resume()

    def push(self, data: Any) -> None:
        self.outbox.push((json.dumps(data),))

    def offer(self, data: Any, droppable: Droppable) -> None:
        self.outbox.offer((json.dumps(data),), droppable)

    @property
    def sent(self) -> list[Any]:
        return [json.loads(message) for message in self.messages]


@pytest.fixture(params=[Framed, Unframed])
def tested(request: pytest.FixtureRequest) -> HeldUpOutbox:
    made: HeldUpOutbox = request.param()
    return made


@pytest.fixture
def skipped() -> SkippedMessages:
    return SkippedMessages()


def offer(tested: HeldUpOutbox, skipped: SkippedMessages, policy: DropPolicyName, key: str, data: Any) -> None:
    tested.offer(data, skipped.droppable(MessagePolicy(policy, policy, key)))


@pytest.mark.parametrize("policy", ["latest", "drop-oldest", "drop-newest", "volatile"])
async def test_a_peer_that_reads_gets_everything(
    tested: HeldUpOutbox, skipped: SkippedMessages, policy: DropPolicyName
) -> None:
    for number in range(1000):
        offer(tested, skipped, policy, "a", number)
        if number % 10 == 9:
            await asyncio.sleep(0)
    assert tested.sent == list(range(1000))
    assert not skipped.by_event


async def test_only_the_newest_of_each_key_waits_behind_what_came_before(
    tested: HeldUpOutbox, skipped: SkippedMessages
) -> None:
    tested.pause()
    for number in range(1000):
        offer(tested, skipped, "latest", str(number % 3), number)
        if number == 500:
            tested.push("between")
    tested.resume()
    await asyncio.sleep(0)
    assert tested.sent == ["between", 997, 998, 999]
    assert skipped.by_event == {"latest": 997}
    assert not tested.overflows


async def test_the_oldest_are_dropped_where_there_is_no_room(tested: HeldUpOutbox, skipped: SkippedMessages) -> None:
    tested.pause()
    for number in range(100):
        offer(tested, skipped, "drop-oldest", "", number)
    tested.resume()
    await asyncio.sleep(0)
    assert 5 < len(tested.sent) < 20
    assert tested.sent == list(range(100))[-len(tested.sent) :]
    assert skipped.by_event == {"drop-oldest": 100 - len(tested.sent)}


async def test_the_newest_are_dropped_where_there_is_no_room(tested: HeldUpOutbox, skipped: SkippedMessages) -> None:
    tested.pause()
    for number in range(100):
        offer(tested, skipped, "drop-newest", "", number)
    offer(tested, skipped, "drop-oldest", "", "no room for this one either")
    tested.resume()
    await asyncio.sleep(0)
    assert 5 < len(tested.sent) < 20
    assert tested.sent == list(range(len(tested.sent)))
    assert skipped.by_event == {"drop-newest": 100 - len(tested.sent), "drop-oldest": 1}


async def test_a_volatile_message_never_waits(tested: HeldUpOutbox, skipped: SkippedMessages) -> None:
    tested.pause()
    offer(tested, skipped, "volatile", "", "skipped")
    tested.resume()
    offer(tested, skipped, "volatile", "", "sent")
    await asyncio.sleep(0)
    assert tested.sent == ["sent"]
    assert skipped.by_event == {"volatile": 1}


async def test_what_must_be_sent_drives_out_what_need_not_before_it_overflows(
    tested: HeldUpOutbox, skipped: SkippedMessages
) -> None:
    tested.pause()
    for number in range(6):
        offer(tested, skipped, "drop-newest", "", number)
        offer(tested, skipped, "latest", str(number), number)
    must = "x" * (LIMIT // 2)
    tested.push(must)
    assert not tested.overflows
    tested.push(must[:-400])
    await asyncio.sleep(0)
    assert not tested.overflows
    tested.resume()
    await asyncio.sleep(0)
    assert tested.sent == [must, must[:-400]]
    assert skipped.by_event == {"latest": 6, "drop-newest": 6}
    tested.pause()
    tested.push(must)
    tested.push(must)
    await asyncio.sleep(0)
    assert tested.overflows > 0, "all of its limit was free again, and no more"
    offer(tested, skipped, "latest", "", "late")
    assert not tested.outbox.buffered


async def test_a_large_message_is_taken_if_nothing_waits(tested: HeldUpOutbox, skipped: SkippedMessages) -> None:
    tested.pause()
    offer(tested, skipped, "latest", "a", "small")
    offer(tested, skipped, "latest", "a", "x" * LIMIT)
    assert tested.outbox.buffered >= LIMIT
    offer(tested, skipped, "drop-newest", "", "no room")
    offer(tested, skipped, "latest", "a", "newest")
    tested.resume()
    await asyncio.sleep(0)
    assert tested.sent == ["newest"]


async def test_room_is_given_back_as_messages_leave(tested: HeldUpOutbox, skipped: SkippedMessages) -> None:
    for _ in range(20):
        tested.pause()
        for number in range(9):
            offer(tested, skipped, "drop-newest", "", number)
        tested.resume()
        await asyncio.sleep(0)
    assert tested.sent == list(range(9)) * 20
    assert not skipped.by_event


async def test_a_transport_that_keeps_anything_is_behind(skipped: SkippedMessages) -> None:
    tested = Framed()
    tested.waiting = 1
    offer(tested, skipped, "volatile", "", "skipped")
    offer(tested, skipped, "latest", "", 1)
    offer(tested, skipped, "latest", "", 2)
    await asyncio.sleep(0)
    assert tested.sent == [1, 2], "it is not paused: the transport takes more"
    assert skipped.by_event == {"volatile": 1}


async def test_prices_go_on_being_replaced_while_the_transport_is_filled_again(skipped: SkippedMessages) -> None:
    tested = Framed()
    tested.outbox = Outbox(tested, Flusher(), 10 * HIGH_WATER_MARK, tested, SlowReaders(30))
    tested.outbox.pause()
    text = "x" * (HIGH_WATER_MARK - 10)
    for number in range(3):
        offer(tested, skipped, "latest", str(number), [text, number])
    tested.fills = True
    tested.outbox.resume()
    for number in range(3):
        offer(tested, skipped, "latest", str(number), number)
    assert skipped.by_event == {"latest": 2}, "the first has left, the others wait"
    while tested.waiting:
        tested.waiting = 0
        tested.outbox.resume()
    assert tested.sent == [[text, 0], 0, 1, 2]
