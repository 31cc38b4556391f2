from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from crosswire.core.limits import Heartbeat, Limits
from crosswire.errors import Reject
from crosswire.runtime import environment
from crosswire.server.authentication import Verdict
from crosswire.server.session import CATCH_UP_TIME
from crosswire.server.socket import Socket
from crosswire.types import Close
from tests.support.fakes import FakeConnection, FakeServer
from tests.support.loops import on_instant_loop

SAY = '{"event":"say"}'


def verdict_after(seconds: float, result: str | BaseException | None) -> Verdict:
    async def hook() -> str | None:
        await asyncio.sleep(seconds)
        if isinstance(result, BaseException):
            raise result
        return result

    return Verdict(pending=hook)


async def run_connection(
    verdict: Verdict, *texts: str, limits: Limits | None = None, prepare: Callable[[FakeServer], object] | None = None
) -> tuple[FakeConnection, list[Any]]:
    """A connection's life: it sends some messages at once. Returns the connection and what the application saw."""

    server = FakeServer(limits or Limits())
    notes: list[Any] = []
    server.hooks.on_connect(lambda socket: notes.append(f"connect {socket.user}"))
    server.hooks.on_disconnect(lambda socket, close: notes.append(tuple(close)))
    server.events.on("say", lambda socket: notes.append(f"say {socket.user}"))
    if prepare is not None:
        prepare(server)
    session, connection = server.connect(verdict)
    for text in texts:
        session.text(text)
    await asyncio.sleep(60)
    present = list(server.registry.users.users)
    assert present == ([] if connection.closes else [session.socket.user])
    await server.end()
    return connection, notes


@on_instant_loop
@pytest.mark.parametrize("verdict", [Verdict(user="1"), verdict_after(5, "1")], ids=["sync", "async"])
async def test_messages_are_delivered_once_the_user_is_known(verdict: Verdict) -> None:
    connection, notes = await run_connection(verdict, SAY, SAY)
    assert notes == ["connect 1", "say 1", "say 1"]
    assert connection.closes == []


@on_instant_loop
@pytest.mark.parametrize(
    "verdict", [Verdict(reject=Reject(4011, "no")), verdict_after(5, Reject(4011, "no"))], ids=["sync", "async"]
)
async def test_a_refused_connection_is_closed_and_no_hook_runs(verdict: Verdict) -> None:
    connection, notes = await run_connection(verdict, SAY)
    assert connection.closes[0] == (4011, "no")
    assert notes == []


@on_instant_loop
@pytest.mark.parametrize(
    ("result", "code"), [(KeyError("secret"), 1011), (TimeoutError("its own"), 1011), ("", 1011)], ids=repr
)
async def test_a_hook_that_fails_closes_the_connection(result: Any, code: int) -> None:
    connection, notes = await run_connection(verdict_after(5, result), SAY)
    assert connection.closes[0] == (code, "authentication failed")
    assert notes == []


@on_instant_loop
async def test_a_hook_that_takes_too_long_closes_the_connection() -> None:
    connection, notes = await run_connection(verdict_after(11, "1"), SAY)
    assert connection.closes[0] == (1013, "authentication took too long")
    assert notes == []


@on_instant_loop
async def test_a_hook_that_ignores_its_cancellation_does_not_keep_the_connection() -> None:
    async def stubborn() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(100)
        await asyncio.sleep(20)
        return "1"

    connection, notes = await run_connection(Verdict(pending=stubborn), SAY)
    assert connection.closes[0] == (1013, "authentication took too long")
    assert notes == []


@on_instant_loop
async def test_without_a_user_the_id_of_the_socket_is_the_user() -> None:
    _, notes = await run_connection(verdict_after(5, None), SAY)
    assert notes[0].removeprefix("connect ") == notes[1].removeprefix("say ") != ""


@on_instant_loop
async def test_messages_wait_for_an_asynchronous_on_connect() -> None:
    def prepare(server: FakeServer) -> None:
        @server.hooks.on_connect
        async def load(socket: Socket) -> None:
            await asyncio.sleep(5)
            socket.send("loaded")

    connection, notes = await run_connection(Verdict(user="1"), SAY, prepare=prepare)
    assert notes == ["connect 1", "say 1"]
    assert connection.messages == [{"event": "loaded", "payload": None}]


async def test_the_heartbeat_is_echoed_and_is_not_an_event() -> None:
    server = FakeServer(heartbeat=Heartbeat(text="ping"))
    notes: list[str | bytes] = []
    server.hooks.on_heartbeat(lambda socket: notes.append(socket.user))
    server.hooks.on_message(lambda socket, raw: notes.append(raw))
    session, connection = server.connect()
    session.text("ping")
    session.text("")
    await server.end()
    assert (connection.frames, notes) == ([b"\x81\x04ping"], ["13", ""])


@on_instant_loop
async def test_a_lost_connection_leaves_nothing_behind() -> None:
    server = FakeServer()
    notes: list[Any] = []
    server.hooks.on_disconnect(lambda socket, close: notes.append((socket.rooms, close)))
    session, connection = server.connect()
    await session.socket.join("chat", "1")
    session.closed(Close(1006, "lost"))
    registry = server.registry
    notes += [len(server.sessions), list(registry.users.users), registry.rooms.ids("chat")]
    await asyncio.sleep(60)
    assert connection.pings == []
    await server.end()
    assert notes == [({"chat": {"1"}}, Close(1006, "lost")), 0, [], set()]


@on_instant_loop
async def test_a_late_close_of_an_old_connection_does_not_touch_the_new_one() -> None:
    server = FakeServer()
    old, connection = server.connect()
    connection.answers_close = False
    new, _ = server.connect()
    await new.socket.join("chat", "1")
    assert connection.closes == [(4012, "replaced by a newer connection of the same user")]
    old.closed(Close(4012))
    await server.end()
    registry = server.registry
    assert registry.users.of("13") == (new.client,)
    members, sessions = list(registry.rooms.in_room("chat", "1")), len(server.sessions)
    assert (len(members), sessions) == (1, 1)


@on_instant_loop
async def test_a_refused_identification_keeps_the_rooms_to_the_end() -> None:
    server = FakeServer(duplicates="refuse")
    server.connect(Verdict(user="1"))
    session, connection = server.connect(Verdict(user="2"))
    await session.socket.join("chat", "1")
    with pytest.raises(Reject, match="connected already"):
        await session.socket.identify("1")
    await server.end()
    assert (session.socket.rooms, session.socket.user, connection.closes[0][0]) == ({"chat": {"1"}}, "2", 4012)


@pytest.mark.parametrize("size", [0, 100, 900])
@pytest.mark.parametrize("phase", ["authenticate", "on_connect"])
@on_instant_loop
async def test_reading_pauses_when_the_backlog_is_full_until_the_client_is_let_in(phase: str, size: int) -> None:
    server, seen = FakeServer(Limits(max_message=10_000), Heartbeat(interval=0.3, timeout=0.3)), list[int]()
    server.events.on("say", lambda socket, data: seen.append(data[0]))

    async def wait() -> None:
        await asyncio.sleep(9)

    if phase == "on_connect":
        server.hooks.on_connect(wait)
    session, connection = server.connect(verdict_after(9, "1") if phase == "authenticate" else Verdict(user="1"))
    sent = 0
    while connection.reading:
        session.text(f'{{"event":"say","payload":[{sent},"{"x" * size}"]}}')
        sent += 1
    assert 10_000 / (size + 400) <= sent <= 10_000 / (size + 20) + 2
    await asyncio.sleep(8)  # many heartbeats that are not answered
    assert (seen, connection.reading, connection.aborts, connection.closes) == ([], False, [], [])
    await asyncio.sleep(1.1)
    assert connection.reading
    assert seen == list(range(sent))
    session.closed(Close(1000))
    await server.end()
    assert seen


@on_instant_loop
async def test_the_backlog_is_handled_in_parts_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    server, seen, first = FakeServer(), list[int](), asyncio.Event()
    monkeypatch.setattr(environment, "perf_counter", lambda: len(seen) * CATCH_UP_TIME / 100)

    @server.events.on("say")
    def say(socket: Socket, data: int) -> None:
        seen.append(data)
        first.set()

    session, _ = server.connect(verdict_after(1, "1"))
    for number in range(1000):
        session.text(f'{{"event":"say","payload":{number}}}')
    await first.wait()
    assert 0 < len(seen) < 1000
    for number in range(1000, 1100):
        session.text(f'{{"event":"say","payload":{number}}}')
        await asyncio.sleep(0)
    await asyncio.sleep(1)
    await server.end()
    assert seen == list(range(1100))


async def test_waiting_messages_that_take_long_are_handled_in_a_turn_each(monkeypatch: pytest.MonkeyPatch) -> None:
    now, handled = 0.0, 0

    def take_long(socket: Socket) -> None:
        nonlocal now, handled
        now += CATCH_UP_TIME
        handled += 1

    monkeypatch.setattr(environment, "perf_counter", lambda: now)
    server = FakeServer(Limits())
    server.events.on("heavy", take_long)
    gate = asyncio.get_running_loop().create_future()

    async def authenticate() -> str:
        await gate
        return "1"

    session, _ = server.connect(Verdict(pending=authenticate))
    for _ in range(3):
        session.text('{"event":"heavy"}')
    gate.set_result(None)
    seen = list[int]()
    while handled < 3:
        await asyncio.sleep(0)
        seen.append(handled)
    assert {1, 2, 3} <= set(seen)
    await server.end()
