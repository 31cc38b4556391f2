from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from math import inf

import msgspec
import pytest

from crosswire.cluster.requests import Deadline, PendingCall, PendingGather, PendingRequests
from crosswire.cluster.streams import PendingStream
from crosswire.core import envelopes
from crosswire.core.codecs import MSGPACK, NODE_MSGPACK
from crosswire.core.envelopes import Answer
from crosswire.core.payload_types import payload_type
from crosswire.errors import CallTimeout, EventError, InvalidPayload, NodeGone
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.timer_wheel import TICK
from crosswire.runtime.workers import Workers
from crosswire.types import Replies
from tests.support.aio import wait_until
from tests.support.loops import on_instant_loop


def begin_call(requests: PendingRequests, timeout: float = 5) -> PendingCall:
    """Begin a call of the node b."""
    return requests.begin_call("b", "x", timeout)


class Picky(msgspec.Struct):
    """An answer whose type fails with an error of its own."""

    code: str

    def __post_init__(self) -> None:
        raise KeyError(self.code)


def timers_of(requests: PendingRequests) -> int:
    """Count the timers that wait."""
    return sum(map(len, requests._wheel._slots.values()))


async def test_a_call_ends_with_the_answer_of_its_node_only() -> None:
    call = begin_call(PendingRequests())
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
    call = begin_call(PendingRequests())
    end(call)
    with pytest.raises(error):
        await call


async def test_a_call_that_takes_too_long_fails_and_is_forgotten() -> None:
    requests = PendingRequests()
    call = begin_call(requests, timeout=0.01)
    with pytest.raises(CallTimeout, match=r"'b' did not answer 'x' within 0\.01 s"):
        await call
    assert len(requests) == 0
    requests.answered("b", call.id, MSGPACK, envelopes.pack("late"))
    assert call.is_done


async def test_a_call_that_was_answered_has_no_timer_left() -> None:
    requests = PendingRequests()
    call, other = begin_call(requests), begin_call(requests)
    requests.answered("b", call.id, MSGPACK, envelopes.pack(1))
    assert list(call.deadline.ids) == [other.id]
    assert await call == 1


async def test_calls_of_one_moment_share_a_deadline_and_each_of_them_ends() -> None:
    requests = PendingRequests()
    calls = [begin_call(requests, timeout=0.01) for _ in range(3)]
    later = begin_call(requests, timeout=5)
    assert calls[0].deadline is not later.deadline
    assert sum(len(deadline.ids) for deadline in {call.deadline: None for call in calls}) == 3
    requests.answered("b", calls[1].id, MSGPACK, envelopes.pack(1))
    await wait_until(lambda: all(call.is_done for call in calls))
    assert [type(call.error) for call in calls] == [CallTimeout, type(None), CallTimeout]
    assert len(requests) == 1
    requests.end_all()
    with pytest.raises(CallTimeout):
        await later


@on_instant_loop
async def test_no_call_ends_before_its_time_however_many_share_its_deadline() -> None:
    loop, requests = asyncio.get_running_loop(), PendingRequests()
    lasted, deadlines = list[float](), dict[Deadline, None]()

    async def wait() -> None:
        call, now = begin_call(requests, timeout=0.25), loop.time()
        deadlines[call.deadline] = None
        with pytest.raises(CallTimeout):
            await call
        lasted.append(loop.time() - now)

    async with asyncio.TaskGroup() as waiting:
        for _ in range(40):
            waiting.create_task(wait())
            await asyncio.sleep(0.013)
    assert len(lasted) == 40
    assert len(deadlines) < 10
    assert 0.25 <= min(lasted) <= max(lasted) <= 0.25 + 2 * TICK + 0.001


@pytest.mark.parametrize("together", [False, True])
async def test_calls_whose_timeouts_differ_leave_no_timers_once_they_are_answered(together: bool) -> None:
    requests = PendingRequests()
    calls = [begin_call(requests, timeout=timeout) for timeout in (5, 60, 5, 3, 60, 7.5)]
    assert timers_of(requests) == 6
    answers = [Answer("b", call.id, envelopes.pack(1)) for call in calls]
    if together:
        requests.all_answered(answers)
    else:
        for answer in answers:
            requests.answered("b", answer.call_id, MSGPACK, answer.payload)
    assert timers_of(requests) == 1, "that of the last call, which the next one may share"
    requests.forget(begin_call(requests, timeout=8).id)
    assert timers_of(requests) == 1
    requests.end_all()
    assert timers_of(requests) == 0


async def test_a_call_without_end_needs_no_timer() -> None:
    requests = PendingRequests()
    calls = [begin_call(requests, timeout=inf) for _ in range(2)]
    other = begin_call(requests, timeout=5)
    assert other.deadline is not calls[0].deadline
    requests.answered("b", calls[1].id, MSGPACK, envelopes.pack(1))
    assert await calls[1] == 1
    requests.end_all()
    for call in (calls[0], other):
        with pytest.raises(CallTimeout):
            await call


async def test_answers_that_came_together_each_reach_the_call_that_they_name() -> None:
    requests = PendingRequests()
    calls = [begin_call(requests) for _ in range(6)]
    many = PendingGather("bc", None)
    many_id = requests.begin(many, 5)
    calls[5].cancel()
    payload = envelopes.pack(7)
    requests.all_answered(
        [
            Answer("b", calls[0].id, payload),
            Answer("c", calls[1].id, payload),  # who was not asked
            Answer("b", "unknown", payload),
            Answer("b", calls[2].id, msgspec.Raw(b"\xc1")),
            Answer("b", many_id, payload),
            Answer("c", many_id, payload),
            Answer("b", calls[5].id, payload),
            Answer("b", calls[0].id, envelopes.pack("again")),
            Answer("b", calls[3].id, payload),
        ]
    )
    assert (await calls[0], await calls[3]) == (7, 7)
    with pytest.raises(InvalidPayload):
        await calls[2]
    assert await many.future == {"b": 7, "c": 7}
    with pytest.raises(asyncio.CancelledError):
        await calls[5]
    assert [call.is_done for call in (calls[1], calls[4])] == [False, False]
    assert len(requests) == 2
    requests.forget(calls[1].id)
    requests.forget(calls[4].id)
    assert not calls[0].deadline.ids


@pytest.mark.parametrize("together", [True, False])
async def test_an_answer_whose_type_fails_fails_its_call_alone(together: bool) -> None:
    requests = PendingRequests()
    failing = requests.begin_call("b", "x", 5, payload_type(Picky))
    other = begin_call(requests)
    answers = [Answer("b", call.id, envelopes.pack({"code": "secret"})) for call in (failing, other)]
    if together:
        requests.all_answered(answers)
    else:
        for answer in answers:
            requests.answered("b", answer.call_id, NODE_MSGPACK, answer.payload)
    assert len(requests) == 0
    assert await other == {"code": "secret"}
    with pytest.raises(InvalidPayload, match=r"raised KeyError$"):
        await failing


async def test_a_handler_goes_on_in_the_callback_that_brings_the_answer_to_its_call() -> None:
    loop, requests, tasks = asyncio.get_running_loop(), PendingRequests(), BackgroundTasks()
    workers = Workers(tasks)
    asked: list[str] = []
    got: list[int] = []
    got_at_once: list[bool] = []

    async def handler() -> None:
        call = begin_call(requests)
        asked.append(call.id)
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
    one, other = begin_call(requests), begin_call(requests)
    first, second = one.id, other.id
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
    requests = PendingRequests()
    call = begin_call(requests)
    requests.answered("b", call.id, MSGPACK, b"\xc1")  # type: ignore[arg-type]
    with pytest.raises(InvalidPayload) as caught:
        await call
    assert caught.value.sender == "b"


async def test_a_node_that_left_is_missing_in_all_requests() -> None:
    requests = PendingRequests()
    one, many = begin_call(requests), PendingGather("bc", None)
    requests.begin(many, 0.01)
    requests.gone("b")
    with pytest.raises(NodeGone):
        await one
    assert len(requests) == 1
    assert (await many.future).missing == ("b", "c")
    assert len(requests) == 0


async def test_all_requests_end_when_the_node_stops() -> None:
    requests = PendingRequests()
    one, many, stream = begin_call(requests), PendingGather("b", None), PendingStream("b", None)
    requests.begin(many, 5)
    requests.begin(stream, 5)
    requests.forget(one.id)
    requests.end_all()
    assert len(requests) == 0
    assert not one.is_done
    assert (await many.future).missing == ("b",)
    assert await asyncio.wait_for(stream.next(), 1) is None
