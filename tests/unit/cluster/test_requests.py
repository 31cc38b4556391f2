from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context

import pytest

from crosswire.cluster.requests import PendingCall, PendingGather, PendingRequests
from crosswire.cluster.streams import PendingStream
from crosswire.core import envelopes
from crosswire.core.codecs import MSGPACK
from crosswire.errors import CallTimeout, EventError, InvalidPayload, NodeGone
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.workers import Workers
from crosswire.types import Replies
from tests.support.aio import wait_until


async def test_a_call_ends_with_the_answer_of_its_node_only() -> None:
    call = PendingCall("b", "x", 5, asyncio.get_running_loop())
    assert not call.reply("c", "forged", None)
    assert not call.lost("c")
    assert call.reply("b", 1, None)
    assert call.reply("b", 2, None)
    call.end()
    assert await call == 1


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (lambda call: call.reply("b", None, EventError("full")), EventError),
        (lambda call: call.lost("b"), NodeGone),
        (lambda call: call.end(), CallTimeout),
    ],
)
async def test_a_refused_call_raises(end: Callable[[PendingCall], object], error: type[Exception]) -> None:
    call = PendingCall("b", "x", 5, asyncio.get_running_loop())
    end(call)
    with pytest.raises(error):
        await call


async def test_a_call_that_takes_too_long_fails_and_is_forgotten() -> None:
    requests, call = PendingRequests(), PendingCall("b", "x", 0.01, asyncio.get_running_loop())
    call_id = requests.begin(call, 0.01)
    with pytest.raises(CallTimeout, match=r"'b' did not answer 'x' within 0\.01 s"):
        await call
    assert len(requests) == 0
    requests.answered("b", call_id, MSGPACK, envelopes.pack("late"))
    assert isinstance(call.exception(), CallTimeout)


async def test_a_call_that_was_answered_has_no_timer_left() -> None:
    requests, call = PendingRequests(), PendingCall("b", "x", 5, asyncio.get_running_loop())
    requests.answered("b", requests.begin(call, 5), MSGPACK, envelopes.pack(1))
    assert call not in call.slot
    assert await call == 1


async def test_a_handler_goes_on_in_the_callback_that_brings_the_answer_to_its_call() -> None:
    loop, requests, tasks = asyncio.get_running_loop(), PendingRequests(), BackgroundTasks()
    workers = Workers(tasks)
    asked: list[str] = []
    got: list[int] = []
    got_at_once: list[bool] = []

    async def handler() -> None:
        call = PendingCall("b", "x", 5, loop)
        asked.append(requests.begin(call, 5))
        got.append(await call)

    def answer(number: int) -> None:
        requests.answered("b", asked.pop(), MSGPACK, envelopes.pack(number))
        got_at_once.append(got[-1:] == [number])

    for number in range(3):  # the first waits in a worker, the second in one that becomes a lane, the third there
        loop.call_soon(workers.start, handler(), copy_context())
        await wait_until(lambda: asked)
        loop.call_soon(answer, number)
        await wait_until(lambda: not asked)
        await wait_until(lambda: len(got) == len(got_at_once))
    assert got == [0, 1, 2]
    assert got_at_once[-1]
    await tasks.cancel()


async def test_a_gather_ends_with_the_last_node_that_was_asked() -> None:
    gather = PendingGather("abc", None)
    assert not gather.settle()
    assert not gather.reply("a", None, None)
    assert not gather.reply("a", "again", None)
    assert not gather.reply("b", None, EventError("full"))
    assert gather.lost("c")
    replies = await gather.future
    assert isinstance(replies, Replies)
    assert (dict(replies), list(replies.errors), replies.missing) == ({"a": None}, ["b"], ("c",))


async def test_a_gather_without_nodes_ends_at_once() -> None:
    gather = PendingGather((), None)
    assert gather.settle()
    assert (await gather.future).complete


async def test_answers_find_their_requests_by_id() -> None:
    requests = PendingRequests("mine-")
    loop = asyncio.get_running_loop()
    one, other = PendingCall("b", "x", 5, loop), PendingCall("b", "y", 5, loop)
    first, second = requests.begin(one, 5), requests.begin(other, 5)
    assert first != second
    assert first.startswith("mine-")
    for unknown in ("", "mine-", "1", "mine-zz"):
        requests.answered("b", unknown, MSGPACK, envelopes.pack(0))
        requests.refused("b", unknown, EventError("full"))
    requests.answered("b", second, MSGPACK, envelopes.pack(2))
    requests.answered("c", first, MSGPACK, envelopes.pack(3))
    requests.answered("b", first, MSGPACK, envelopes.pack(1))
    assert (await one, await other) == (1, 2)
    assert len(requests) == 0


async def test_an_answer_that_can_not_be_read_is_an_error_of_its_sender() -> None:
    requests, call = PendingRequests(), PendingCall("b", "x", 5, asyncio.get_running_loop())
    requests.answered("b", requests.begin(call, 5), MSGPACK, b"\xc1")  # type: ignore[arg-type]
    with pytest.raises(InvalidPayload) as caught:
        await call
    assert caught.value.sender == "b"


async def test_a_node_that_left_is_missing_in_all_requests() -> None:
    requests = PendingRequests()
    one, many = (
        PendingCall("b", "x", 5, asyncio.get_running_loop()),
        PendingGather("bc", None),
    )
    requests.begin(one, 5)
    requests.begin(many, 0.01)
    requests.gone("b")
    with pytest.raises(NodeGone):
        await one
    assert len(requests) == 1
    assert (await many.future).missing == ("b", "c")
    assert len(requests) == 0


async def test_all_requests_end_when_the_node_stops() -> None:
    requests = PendingRequests()
    one, many, stream = (
        PendingCall("b", "x", 5, asyncio.get_running_loop()),
        PendingGather("b", None),
        PendingStream("b", None),
    )
    ids = [requests.begin(each, 5) for each in (one, many, stream)]
    requests.forget(ids[0])
    requests.end_all()
    assert len(requests) == 0
    assert not one.done()
    assert (await many.future).missing == ("b",)
    assert await asyncio.wait_for(stream.next(), 1) is None
