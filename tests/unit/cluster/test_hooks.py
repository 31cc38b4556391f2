from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.cluster.hooks import NodeHooks
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.types import GapInfo, NodeInfo
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop


@pytest.fixture
def hooks() -> NodeHooks:
    return NodeHooks(BackgroundTasks(), lambda: None, lambda name: None, lambda: None)


@pytest.mark.parametrize("hooked", [True, False])
def test_a_gap_is_logged_with_and_without_a_hook(
    hooks: NodeHooks, hooked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[object] = []
    if hooked:
        hooks.on_gap(told.append)
    hooks.fire_gap(GapInfo("redis://a", 1, 3.5))
    (gap,) = caplog.records
    assert gap.levelname == "WARNING"
    assert "missed within 2.5 s, over redis://a" in gap.getMessage()
    assert len(told) == hooked


NODE = NodeInfo("b", "0" * 16, 0.0)


def recording_hook(
    what: str, told: dict[str, list[str]], waits: list[float | None]
) -> Callable[[NodeInfo], Coroutine[Any, Any, None]]:
    durations = cycle(waits)

    async def note(info: NodeInfo) -> None:
        told[info.name].append(f"{what} begins")
        if (seconds := next(durations)) is not None:
            await asyncio.sleep(seconds)
        told[info.name].append(f"{what} ends")

    return note


async def join_and_leave(hooks: NodeHooks, steps: list[tuple[str, float]]) -> None:
    there = {"b": False, "c": False}
    for name, pause in steps:
        info = NODE._replace(name=name)
        if there[name]:
            hooks.fire_leave(info, "goodbye")
        else:
            hooks.fire_join(info)
        there[name] = not there[name]
        await asyncio.sleep(pause)


WAITS = st.lists(st.one_of(st.none(), st.floats(0, 5)), min_size=1, max_size=3)


@given(
    steps=st.lists(st.tuples(st.sampled_from("bc"), st.floats(0, 3)), max_size=12),
    joining=WAITS,
    leaving=WAITS,
    stop_after=st.one_of(st.none(), st.floats(0, 10)),
)
async def test_joins_and_leaves_of_a_node_alternate_whatever_their_handlers_await(
    steps: list[tuple[str, float]], joining: list[float | None], leaving: list[float | None], stop_after: float | None
) -> None:
    told: dict[str, list[str]] = {"b": [], "c": []}

    tasks = BackgroundTasks()
    hooks = NodeHooks(tasks, lambda: None, lambda name: None, lambda: None)
    hooks.on_join(recording_hook("join", told, joining))
    hooks.on_leave(recording_hook("leave", told, leaving))
    coming = asyncio.create_task(join_and_leave(hooks, steps))
    if stop_after is None:
        await coming
        assert await tasks.wait(1000)
        for name, heard in told.items():
            assert len(heard) == 2 * sum(each == name for each, _ in steps)
    else:
        await asyncio.sleep(stop_after)
        coming.cancel()
        hooks.drop()
        await tasks.cancel()
        assert not len(tasks)
        await asyncio.wait({coming})
    cycle_of = ["join begins", "join ends", "leave begins", "leave ends"]
    for heard in told.values():
        assert heard == [cycle_of[number % 4] for number in range(len(heard))]


@pytest.mark.parametrize("by", ["the stop", "itself"])
async def test_a_hook_that_the_stop_cancels_has_not_failed(by: str, caplog: pytest.LogCaptureFixture) -> None:
    async def wait() -> None:
        if by == "itself":
            raise asyncio.CancelledError
        await asyncio.sleep(60)

    tasks = BackgroundTasks()
    hooks = NodeHooks(tasks, lambda: None, lambda name: None, lambda: None)
    hooks.on_gap(wait)
    hooks.fire_gap(GapInfo("redis://a", 1, 3.5))
    await asyncio.sleep(1)
    await tasks.cancel()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == (
        ["on_gap failed"] if by == "itself" else []
    )


async def test_a_handler_that_does_not_end_delays_a_bounded_number_of_calls(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[str] = []

    tasks = BackgroundTasks()
    hooks = NodeHooks(tasks, lambda: None, lambda name: None, lambda: None)
    go = asyncio.Event()

    async def joined() -> None:
        told.append("join")
        await go.wait()

    hooks.on_join(joined)
    hooks.on_leave(lambda: told.append("leave"))
    for _ in range(1000):
        hooks.fire_join(NODE)
        hooks.fire_leave(NODE, "goodbye")
    hooks.fire_join(NODE)
    await asyncio.sleep(0)
    assert told == ["join"]
    go.set()
    assert await tasks.wait(60)
    assert len(told) < 200
    assert told == [("join", "leave")[number % 2] for number in range(len(told))]
    assert told[-1] == "join"  # it is there
    assert "too slow" in caplog.text
