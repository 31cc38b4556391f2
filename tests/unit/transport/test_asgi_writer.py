from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from crosswire.runtime.flusher import Flusher
from crosswire.transport.asgi_writer import AsgiWriter
from crosswire.transport.message_outbox import MessageOutbox
from crosswire.transport.slow_readers import SlowReaders
from crosswire.types import Close
from tests.support.aio import wait_until

Sent = list[Any]


class Overflow:
    def overflowed(self) -> None:
        raise AssertionError("the outbox is large enough")

    def fell_behind(self) -> None:
        raise AssertionError("it takes no time")


@asynccontextmanager
async def writing(
    send: Callable[[Any], Awaitable[None]],
    failed: Callable[[Exception], None] | None = None,
    flusher: Flusher | None = None,
) -> AsyncIterator[MessageOutbox]:
    """Yield the outbox of a writer that sends with ``send``."""
    errors: list[Exception] = []
    writer = AsgiWriter(send, failed or errors.append)
    writer.outbox = MessageOutbox(writer, flusher or Flusher(), 1_000_000, Overflow(), SlowReaders(30))
    writer.start()
    yield writer.outbox
    writer.stop()
    await asyncio.sleep(0)
    assert not errors


async def test_what_does_not_wait_is_sent_without_waking_the_task() -> None:
    sent: Sent = []

    async def send(event: Any) -> None:
        sent.append(event)

    async with writing(send) as outbox:
        await asyncio.sleep(0)
        steps: list[str] = []
        outbox.push(("a", b"b"))
        asyncio.get_running_loop().call_soon(steps.append, "the turn after the push")
        await wait_until(lambda: steps)
        assert sent == [{"type": "websocket.send", "text": "a"}, {"type": "websocket.send", "bytes": b"b"}]


async def test_send_runs_as_a_step_of_the_task_with_its_context_variables() -> None:
    variable = contextvars.ContextVar[str]("variable")
    seen: list[tuple[str, asyncio.Task[Any] | None]] = []

    async def send(event: Any) -> None:
        async with asyncio.timeout(10):  # needs a task
            seen.append((variable.get(), asyncio.current_task()))
            await asyncio.sleep(0)
            seen.append((variable.get(), asyncio.current_task()))

    variable.set("of the call")
    async with writing(send) as outbox:
        variable.set("of the sender")
        outbox.push(("x",))
        await wait_until(lambda: len(seen) == 2)
        assert seen[0] == seen[1]
        assert seen[0][0] == "of the call"
        task = seen[0][1]
        assert task is not None
        assert task.get_name() == "crosswire ASGI writer"


async def test_send_may_be_called_from_inside_a_task() -> None:
    tasks: list[asyncio.Task[Any] | None] = []

    async def send(event: Any) -> None:
        tasks.append(asyncio.current_task())

    async with writing(send) as outbox:
        outbox.push(("x",))
        outbox.flush()
        assert len(tasks) == 1
        assert tasks[0] is not asyncio.current_task()
        assert asyncio.current_task() is not None


async def test_messages_wait_in_order_while_send_waits() -> None:
    sent: Sent = []
    writable = asyncio.Event()

    async def send(event: Any) -> None:
        await writable.wait()
        sent.append(event["text"])

    async with writing(send) as outbox:
        outbox.push(("1",))
        await asyncio.sleep(0)
        outbox.push(("2",))
        outbox.push(("3",))
        await asyncio.sleep(0)
        assert outbox.buffered == 2
        writable.set()
        await wait_until(lambda: len(sent) == 3)
        outbox.push(("4",))
        await wait_until(lambda: len(sent) == 4)
        assert sent == ["1", "2", "3", "4"]
        assert not outbox.buffered


async def test_another_task_may_wait_for_the_same_future() -> None:
    sent: Sent = []
    shared: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def send(event: Any) -> None:
        await shared
        sent.append(event)

    async def wait() -> None:
        await shared

    async with writing(send) as outbox:
        outbox.push(("x",))
        outbox.flush()
        other = asyncio.create_task(wait())
        await asyncio.sleep(0)
        shared.set_result(None)
        await other
        await wait_until(lambda: sent)


async def test_the_close_comes_last() -> None:
    sent: Sent = []

    async def send(event: Any) -> None:
        await asyncio.sleep(0)
        sent.append(event)

    async with writing(send) as outbox:
        outbox.push(("x",))
        outbox.seal(Close(4000, "bye"))
        outbox.push(("late",))
        await wait_until(lambda: len(sent) == 2)
        assert sent[1] == {"type": "websocket.close", "code": 4000, "reason": "bye"}


async def test_a_send_that_fails_is_reported_once() -> None:
    errors: list[Exception] = []

    async def send(event: Any) -> None:
        raise OSError("gone")

    async with writing(send, errors.append) as outbox:
        outbox.push(("1", "2"))
        await wait_until(lambda: errors)
        assert [type(error) for error in errors] == [OSError]


@pytest.mark.parametrize("waits", [False, True])
async def test_a_send_that_is_cancelled_inside_is_reported_and_disturbs_no_other_connection(waits: bool) -> None:
    errors: list[Exception] = []
    sent: Sent = []
    flusher = Flusher()

    async def cancelled(event: Any) -> None:
        if waits:
            await asyncio.sleep(0)
        raise asyncio.CancelledError

    async def send(event: Any) -> None:
        sent.append(event["text"])

    async with writing(cancelled, errors.append, flusher) as outbox, writing(send, None, flusher) as other:
        outbox.push(("x",))
        other.push(("y",))
        await wait_until(lambda: errors)
        assert [type(error) for error in errors] == [ConnectionError]
        assert sent == ["y"]


async def test_a_send_that_waits_is_cancelled_with_the_writer() -> None:
    ends: list[str] = []

    async def send(event: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append(event["text"])

    async with writing(send) as outbox:
        outbox.push(("x",))
        await asyncio.sleep(0)
    assert ends == ["x"]
