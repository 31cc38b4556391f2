from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from crosswire.client.heartbeat import HeartbeatTimer
from crosswire.client.hooks import Hooks
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.testing.virtual_clock import VirtualClockLoop
from tests.support.aio import wait_until
from tests.support.loops import on_instant_loop


class Server:
    """Counts what a heartbeat does."""

    def __init__(self, interval: float | None = 0.005, timeout: float = 5) -> None:
        hooks = Hooks(BackgroundTasks())
        self.events: list[str] = []
        hooks.on_ping(lambda: self.events.append("on_ping"))
        hooks.on_pong(lambda milliseconds: self.events.append(f"on_pong {type(milliseconds).__name__}"))
        hooks.on_pong_timeout(lambda: self.events.append("on_pong_timeout"))
        self.moves: Iterator[bool] = iter(())
        self.heartbeat = HeartbeatTimer(interval, timeout, hooks)

    def start(self) -> None:
        self.heartbeat.start(
            lambda: self.events.append("sent"), lambda: self.events.append("gave up"), lambda: next(self.moves, False)
        )

    def saw(self, event: str) -> bool:
        return event in self.events


async def test_an_echo_gives_the_latency_and_the_next_heartbeat() -> None:
    server = Server()
    server.start()
    for _ in range(2):
        await wait_until(lambda: server.saw("on_ping"))
        assert server.events == ["sent", "on_ping"]
        server.heartbeat.echoed()
        assert server.events.pop() == "on_pong float"
        assert server.heartbeat.latency is not None
        assert server.heartbeat.latency >= 0
        server.events.clear()
    server.heartbeat.stop()
    assert server.heartbeat.latency is None


async def test_a_missing_echo_is_reported_and_gives_up_once() -> None:
    server = Server(timeout=0.01)
    server.start()
    await wait_until(lambda: server.saw("gave up"))
    assert server.events == ["sent", "on_ping", "on_pong_timeout", "gave up"]


async def test_an_echo_without_a_heartbeat_is_ignored() -> None:
    server = Server(interval=60)
    server.start()
    server.heartbeat.echoed()
    assert server.heartbeat.latency is None
    assert server.events == []
    server.heartbeat.stop()


async def test_a_new_interval_takes_effect_at_once() -> None:
    server = Server(interval=60)
    server.start()
    server.heartbeat.interval = 0.005
    await wait_until(lambda: server.saw("on_ping"))
    server.heartbeat.interval = None
    server.heartbeat.echoed()
    server.events.clear()
    await asyncio.sleep(0.02)
    assert server.events == []
    server.heartbeat.interval = 0.005
    await wait_until(lambda: server.saw("on_ping"))
    server.heartbeat.stop()


async def test_an_interval_of_none_sends_no_heartbeat() -> None:
    server = Server(interval=None)
    server.start()
    await asyncio.sleep(0.02)
    assert server.events == []
    server.heartbeat.stop()


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "started anew"])
async def test_the_timer_of_an_old_connection_does_not_reach_the_next(stopped: bool) -> None:
    server = Server(interval=0.005, timeout=0.05)
    server.start()
    await wait_until(lambda: server.saw("on_ping"))
    server.heartbeat.stop()
    server.events.clear()
    if not stopped:
        server.heartbeat.interval = None
        server.start()
    await asyncio.sleep(0.08)
    assert server.events == []
    server.heartbeat.stop()


@on_instant_loop
async def test_a_loop_that_was_held_up_gives_the_echo_another_chance() -> None:
    server = Server(timeout=0.1)
    server.start()
    await wait_until(lambda: server.saw("on_ping"))
    VirtualClockLoop.stand_still(0.2)
    await asyncio.sleep(0.01)
    assert not server.saw("gave up")
    server.heartbeat.echoed()
    assert server.saw("on_pong float")
    server.heartbeat.stop()


@pytest.mark.parametrize(
    ("moves", "seconds"),
    [
        ([], 4),
        ([False, False, False, True], 8),
        ([False] * 3 + [True, False, False, True], 11),
        ([True] * 100, 104),
        ([False, False, False, False, True], 4),
    ],
    ids=["nothing", "late", "twice", "always", "too late"],
)
@on_instant_loop
async def test_anything_that_moves_is_a_sign_of_life(moves: list[bool], seconds: float) -> None:
    """The connection is checked once a second, and given up after four checks in a row without a sign of life."""

    server = Server(interval=10, timeout=4)
    server.moves = iter(moves)
    server.start()
    await asyncio.sleep(10 + seconds - 0.5)
    assert not server.saw("gave up")
    await asyncio.sleep(1)
    assert server.saw("gave up")


async def test_a_failing_hook_does_not_stop_the_heartbeat(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("a hook's own mistake")

    hooks = Hooks(BackgroundTasks())
    hooks.on_ping(fail)
    sent: list[None] = []
    heartbeat = HeartbeatTimer(0.002, 5, hooks)
    heartbeat.start(lambda: sent.append(None), lambda: None, lambda: False)
    for count in (1, 2):
        await wait_until(lambda count=count: len(sent) == count)  # type: ignore[misc]
        heartbeat.echoed()
    heartbeat.stop()
    assert "a hook's own mistake" in caplog.text
