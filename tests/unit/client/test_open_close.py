"""``on_open`` and ``on_close`` alternate, whatever their handlers await."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire.client.event_buffer import MAX_BUFFERED_BYTES, MAX_BUFFERED_TIME
from crosswire.client.open_close import MAX_WAITING
from crosswire.runtime import environment
from crosswire.types import Close
from tests.support.loops import on_instant_loop
from tests.unit.client.fake_client import READY, FakeClient, settle

pytestmark = on_instant_loop


class TraceRecorder:
    """Notes when hooks begin and end, and which events are handled; its hooks take the times that they are given."""

    def __init__(self, fake: FakeClient, times: dict[str, float | None]) -> None:
        self.trace: list[str] = []
        self._times = times
        self._fake = fake
        fake.client.on_open(self._open)
        fake.client.on_close(self._close)
        fake.client.on("news", lambda data: self.trace.append(f"event {data}"))

    async def _open(self) -> None:
        await self._take("open")

    async def _close(self, close: Close) -> None:
        await self._take("close")

    async def _take(self, name: str) -> None:
        self.trace.append(name)
        try:
            if (seconds := self._times[name]) is not None:
                await asyncio.sleep(seconds)
        finally:
            self.trace.append(f"{name} ended")


def check(trace: list[str]) -> None:
    """Fail if what happened is not: open, events, close, and again."""
    hooks = [each for each in trace if not each.startswith("event")]
    assert hooks == (["open", "open ended", "close", "close ended"] * len(hooks))[: len(hooks)]
    last = ""
    for each in trace:
        if each.startswith("event"):
            assert last == "open ended", trace
        else:
            last = each


class Schedule:
    """A client to which the steps of a schedule happen: its methods."""

    def __init__(self, fake: FakeClient) -> None:
        self._fake = fake
        self._begun: list[asyncio.Task[None]] = []
        self._events = 0

    async def step(self, name: str) -> None:
        await getattr(self, f"_{name}")()

    async def end(self) -> None:
        await settle()  # a connect that has not begun yet would begin after the close
        await self._fake.client.close()
        await asyncio.gather(*self._begun, return_exceptions=True)
        await self._fake.client.close()

    @property
    def _dialled(self) -> bool:
        return bool(self._fake.connections) and self._fake.last.is_dialled

    @property
    def _usable(self) -> bool:
        return bool(self._fake.connections) and self._fake.last.is_open

    async def _connect(self) -> None:
        self._begun.append(asyncio.create_task(self._fake.client.connect()))

    async def _cancel(self) -> None:
        if self._begun:
            self._begun[-1].cancel()

    async def _close(self) -> None:
        await self._fake.client.close()

    async def _begin_to_close(self) -> None:
        self._begun.append(asyncio.create_task(self._fake.client.close()))

    async def _reconnect(self) -> None:
        self._fake.client.reconnect()

    async def _open(self) -> None:
        if self._dialled:
            self._fake.last.open()

    async def _fail(self) -> None:
        if self._dialled:
            self._fake.last.fail()

    async def _let_in(self) -> None:
        if self._usable:
            self._fake.last.receive(READY)

    async def _event(self) -> None:
        if self._usable:
            self._events += 1
            self._fake.last.receive(f'{{"event":"news","payload":{self._events}}}')

    async def _lose(self) -> None:
        if self._usable:
            self._fake.last.end(Close(1001))

    async def _wait(self) -> None:
        await asyncio.sleep(1)


STEPS = ["connect", "cancel", "close", "begin_to_close", "reconnect", "open", "fail", "let_in", "event", "lose", "wait"]


@settings(max_examples=30)  # each looks for leaks, which takes its time
@given(
    st.lists(st.tuples(st.sampled_from(STEPS), st.booleans()), max_size=30),
    st.sampled_from([None, 0, 0.5, 3]),
    st.sampled_from([None, 0, 0.5, 3]),
)
async def test_open_and_close_alternate_and_events_come_between(
    steps: list[tuple[str, bool]], opening: float | None, closing: float | None
) -> None:
    fake = FakeClient(announces=True, fast_interval=0)
    witness = TraceRecorder(fake, {"open": opening, "close": closing})
    schedule = Schedule(fake)
    for name, settled in steps:
        await schedule.step(name)
        if settled:
            await settle()
    await schedule.end()
    check(witness.trace)
    opened = sum(each.was_wanted for each in fake.connections)
    assert witness.trace.count("open") == witness.trace.count("close ended") == opened
    handled = [int(each.split()[1]) for each in witness.trace if each.startswith("event")]
    assert handled == sorted(set(handled))


async def test_events_that_come_while_on_open_runs_are_handled_after_it_in_order_and_answers_at_once() -> None:
    fake = FakeClient(announces=True)
    trace: list[Any] = []

    @fake.client.on_open
    async def hello() -> None:
        trace.append(await fake.client.call("hello"))

    fake.client.on_message(lambda raw: trace.append("message"))
    fake.client.on("news", trace.append)
    fake.client.on_close(lambda: trace.append("closed"))
    connecting = asyncio.create_task(fake.client.connect())
    await settle()
    fake.last.open()
    fake.last.receive(READY)
    await connecting
    fake.last.receive('{"event":"news","payload":1}')
    fake.last.receive('{"event":"news","payload":2,"callId":"7"}')
    await settle()
    assert trace == []
    fake.last.receive('{"callbackId":"1","payload":"welcome"}')
    fake.last.end(Close(1001))
    await settle()
    assert trace == ["message", "welcome", "message", 1, "message", 2, "closed"]
    await fake.client.close()


async def test_after_close_no_buffered_event_is_handled() -> None:
    fake = FakeClient(announces=True)
    witness = TraceRecorder(fake, {"open": 0.5, "close": None})
    connecting = asyncio.create_task(fake.client.connect())
    await settle()
    fake.last.open()
    fake.last.receive(READY)
    await connecting
    fake.last.receive('{"event":"news","payload":1}')
    await fake.client.close()
    assert witness.trace == ["open", "open ended", "close", "close ended"]


async def test_events_wait_for_on_open_for_a_limited_time(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeClient(announces=True)
    witness = TraceRecorder(fake, {"open": 3 * MAX_BUFFERED_TIME, "close": None})
    connecting = asyncio.create_task(fake.client.connect())
    await settle()
    fake.last.open()
    fake.last.receive(READY)
    await connecting
    fake.last.receive('{"event":"news","payload":1}')
    await asyncio.sleep(MAX_BUFFERED_TIME - 1)
    assert witness.trace == ["open"]
    await asyncio.sleep(1)
    assert witness.trace == ["open", "event 1"]
    assert "on_open still runs" in caplog.text
    fake.last.end(Close(1001))
    await asyncio.sleep(MAX_BUFFERED_TIME)
    assert witness.trace == ["open", "event 1"]
    assert "what comes after it waits" in caplog.text
    await asyncio.sleep(MAX_BUFFERED_TIME)
    assert witness.trace == ["open", "event 1", "open ended", "close", "close ended"]
    await fake.client.close()


async def test_a_full_event_buffer_pauses_reading() -> None:
    fake = FakeClient(announces=True, ping_interval=1, pong_timeout=1)
    go_on = asyncio.Event()
    seen: list[int] = []
    fake.client.on_open(go_on.wait)
    fake.client.on("big", lambda data: seen.append(len(data)))
    connecting = asyncio.create_task(fake.client.connect())
    await settle()
    fake.last.open()
    fake.last.receive(READY)
    await connecting
    for _ in range(2):
        assert not fake.last.paused
        fake.last.receive(f'{{"event":"big","payload":"{"x" * (MAX_BUFFERED_BYTES // 2)}"}}')
    assert fake.last.paused
    await asyncio.sleep(5)  # nothing is read, so the silence says nothing
    assert fake.client.reconnecting is False
    assert ["pong timeout"] not in fake.told
    go_on.set()
    await settle()
    assert seen == [MAX_BUFFERED_BYTES // 2] * 2
    assert not fake.last.paused
    await fake.client.close()


async def test_a_hook_that_never_ends_leaves_connections_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(environment, "random", lambda: 0.5)

    fake = FakeClient(announces=True, fast_interval=0)
    witness = TraceRecorder(fake, {"open": 10_000, "close": None})
    fake.client.reconnect()
    connections = MAX_WAITING // 2 + 2
    for _ in range(connections):
        await settle()
        fake.last.open()
        fake.last.receive(READY)
        await settle()
        fake.last.end(Close(1001))
        await asyncio.sleep(100)
    await asyncio.sleep(10_000 - connections * 100)
    assert witness.trace[:3] == ["open", "open ended", "close"]
    assert "was not told" in caplog.text
    await fake.client.close()
    check(witness.trace)


async def test_an_on_close_that_connects_again_is_no_deadlock() -> None:
    fake = FakeClient(announces=True)
    told: list[str] = []

    @fake.client.on_close(once=True)
    async def again() -> None:
        await fake.client.connect()
        told.append("connected again")

    fake.client.on_open(lambda: told.append("open"))
    for _ in range(2):
        connecting = asyncio.create_task(fake.client.connect())
        await settle()
        fake.last.open()
        fake.last.receive(READY)
        await connecting
        if len(fake.connections) == 1:
            fake.last.end(Close(4011))
            await settle()
    await settle()
    assert told == ["open", "connected again", "open"]
    await fake.client.close()


async def test_close_from_within_on_open() -> None:
    fake = FakeClient(announces=True)
    told: list[str] = []

    @fake.client.on_open
    async def leave() -> None:
        await fake.client.close()
        told.append("left")

    fake.client.on_close(lambda: told.append("close"))
    fake.client.reconnect()
    await settle()
    fake.last.open()
    await asyncio.sleep(5)
    assert told == ["left", "close"]


@pytest.mark.parametrize("kind", ["on_open", "event"])
async def test_a_close_cancels_no_handler_of_the_connection_after_it(kind: str) -> None:
    fake = FakeClient(announces=True)
    told: list[str] = []

    async def slowly() -> None:
        await asyncio.sleep(30)
        told.append("ended")

    async def connect() -> None:
        connecting = asyncio.create_task(fake.client.connect())
        await settle()
        fake.last.open()
        fake.last.receive(READY)
        await connecting

    await connect()
    if kind == "on_open":
        fake.client.on_open(slowly)
    else:
        fake.client.on("news", slowly)
    # Something of the first connection keeps its close waiting.
    fake.client.on_close(lambda: asyncio.sleep(0.5), once=True)
    closing = asyncio.create_task(fake.client.close())
    await settle()
    await connect()
    fake.last.receive('{"event":"news"}')
    await closing
    await asyncio.sleep(31)
    assert told == ["ended"]
    await fake.client.close()
