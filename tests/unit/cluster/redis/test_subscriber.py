from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.cluster.redis.link import Unreachable
from crosswire.cluster.redis.subscriber import MAX_CHANNELS_PER_COMMAND, Subscriber
from tests.unit.cluster.redis.fake_redis import FakeRedis

PROBE = b"p:1"


class SubscriberUnderTest:
    """A subscriber, what it is told to want, and what it tells."""

    def __init__(self) -> None:
        self.wanted: set[bytes] = set()
        self.receivers: dict[bytes, Callable[[bytes], None]] = {}
        self.echoes: list[bytes] = []
        self.refused: list[bytes] = []
        self.lost: list[str] = []
        self.whole = 0
        self.subscriber = Subscriber(self.wanted, self.receivers, PROBE, self)
        self.redis = FakeRedis()

    def echoed(self, body: bytes) -> None:
        self.echoes.append(body)

    def subscription_refused(self, channel: bytes, error: str) -> None:
        assert error.startswith("NOPERM")
        self.refused.append(channel)

    def all_subscribed(self) -> None:
        self.whole += 1

    def attach(self) -> asyncio.Future[None]:
        return self.subscriber.attach(self.redis.link, self._lost)

    def _lost(self, reason: str) -> None:
        self.lost.append(reason)
        self.subscriber.detach()

    def want(self, *channels: bytes) -> None:
        for channel in channels:
            self.wanted.add(channel)
            self.subscriber.change(channel)

    def leave(self, *channels: bytes) -> None:
        for channel in channels:
            self.wanted.discard(channel)
            self.subscriber.change(channel)

    async def settle(self) -> None:
        """Let everything be sent and answered."""
        await turn()
        while self.redis.asked:
            self.redis.answer()
            await turn()


async def turn() -> None:
    """Let what was changed be noticed, and what follows be written."""
    for _ in range(3):
        await asyncio.sleep(0)


async def connected(*channels: bytes) -> SubscriberUnderTest:
    tested = SubscriberUnderTest()
    tested.want(*channels)
    tested.attach()
    await tested.settle()
    return tested


async def test_a_new_connection_subscribes_to_everything_and_to_the_probe_last() -> None:
    tested = SubscriberUnderTest()
    tested.want(b"a", b"b")
    ready = tested.attach()
    await turn()
    first, last = tested.redis.asked
    assert (first[0], {*first[1:]}, last) == (b"SUBSCRIBE", {b"a", b"b"}, [b"SUBSCRIBE", PROBE])
    assert tested.redis.writes == 1
    tested.redis.answer(1)
    await turn()
    assert not ready.done()
    tested.redis.answer()
    await turn()
    assert ready.done()


async def test_changes_of_a_turn_are_one_command_unless_they_are_many() -> None:
    tested = await connected()
    many = [b"%d" % index for index in range(MAX_CHANNELS_PER_COMMAND + 1)]
    tested.want(*many)
    await turn()
    assert [len(command) - 1 for command in tested.redis.asked] == [MAX_CHANNELS_PER_COMMAND, 1]
    await tested.settle()
    tested.leave(b"1", b"2")
    await turn()
    assert [set(command) for command in tested.redis.asked] == [{b"UNSUBSCRIBE", b"1", b"2"}]


async def test_a_subscription_that_is_undone_in_the_same_turn_is_not_sent() -> None:
    tested = await connected(b"a")
    tested.leave(b"a")
    tested.want(b"b", b"a")
    tested.leave(b"b")
    await turn()
    assert not tested.redis.asked
    assert tested.subscriber.listens(b"a")


async def test_a_waiter_ends_with_the_confirmation_of_the_last_subscription() -> None:
    tested = await connected()
    for change in (tested.want, tested.leave, tested.want):
        change(b"a")
        await turn()
    waiting = asyncio.ensure_future(tested.subscriber.wait_listening(b"a"))
    for _ in range(2):
        tested.redis.answer(1)
        await turn()
        assert not tested.subscriber.listens(b"a")
        assert not waiting.done()
    tested.redis.answer(1)
    assert tested.subscriber.listens(b"a")
    await waiting


async def test_waiters_end_when_the_channel_is_not_wanted_any_more() -> None:
    tested = await connected()
    await tested.subscriber.wait_listening(b"never wanted")
    tested.want(b"a")
    early = asyncio.ensure_future(tested.subscriber.wait_listening(b"a"))
    await turn()
    late = asyncio.ensure_future(tested.subscriber.wait_listening(b"a"))
    await turn()
    tested.leave(b"a")
    await asyncio.gather(early, late)
    await tested.settle()


async def test_a_waiter_may_be_cancelled() -> None:
    tested = await connected()
    tested.want(b"a")
    waits = [asyncio.ensure_future(tested.subscriber.wait_listening(b"a")) for _ in range(2)]
    await turn()
    waits[0].cancel()
    await turn()
    tested.redis.answer()
    await waits[1]
    assert waits[0].cancelled()


async def test_waiters_end_when_the_connection_is_lost() -> None:
    tested = await connected()
    tested.want(b"a")
    await turn()
    waiting = asyncio.ensure_future(tested.subscriber.wait_listening(b"a"))
    await turn()
    tested.subscriber.connection.drop("enough")
    await waiting
    assert tested.lost == ["enough"]
    assert not tested.subscriber.connection.connected
    assert not tested.subscriber.listens(b"a")
    await tested.subscriber.wait_listening(b"a")


async def test_a_refused_channel_does_not_affect_the_others() -> None:
    tested = await connected()
    tested.redis.forbidden = {b"b"}
    tested.want(b"a", b"b", b"c")
    await turn()
    waits = [asyncio.ensure_future(tested.subscriber.wait_listening(channel)) for channel in (b"a", b"b", b"c")]
    await tested.settle()
    refusals = await asyncio.gather(*waits)
    assert [refusal is None for refusal in refusals] == [True, False, True]
    assert tested.refused == [b"b"]
    assert [tested.subscriber.listens(channel) for channel in (b"a", b"b", b"c")] == [True, False, True]
    assert tested.redis.channels == {PROBE, b"a", b"c"}
    assert tested.subscriber.refusals.keys() == {b"b"}
    assert tested.whole == 0


async def test_a_waiter_for_a_refused_channel_subscribes_again() -> None:
    tested = await connected()
    tested.redis.forbidden = {b"b"}
    tested.want(b"b")
    await tested.settle()
    for expected in (True, True, False):
        waiting = asyncio.gather(*[tested.subscriber.wait_listening(b"b") for _ in range(2)])
        await tested.settle()
        assert [refusal is not None for refusal in await waiting] == [expected] * 2
        if len(tested.refused) == 3:
            tested.redis.forbidden = set()
    assert tested.refused == [b"b"] * 3
    assert (tested.whole, tested.subscriber.refusals) == (1, {})
    assert tested.subscriber.listens(b"b")


async def test_a_refused_channel_that_is_not_wanted_is_not_reported() -> None:
    tested = await connected()
    tested.redis.forbidden = {b"a", b"b"}
    tested.want(b"a", b"b")
    await tested.settle()
    tested.leave(b"a")
    await tested.settle()
    assert (tested.whole, list(tested.subscriber.refusals)) == (0, [b"b"])
    tested.leave(b"b")
    await tested.settle()
    assert (tested.whole, list(tested.subscriber.refusals)) == (1, [])
    assert await tested.subscriber.wait_listening(b"b") is None


async def test_a_refused_channel_is_subscribed_again_when_it_is_wanted_again() -> None:
    tested = await connected()
    tested.redis.forbidden = {b"b"}
    tested.want(b"b")
    await tested.settle()
    tested.redis.forbidden = set()
    tested.leave(b"b")
    await tested.settle()
    tested.want(b"b")
    await tested.settle()
    assert tested.subscriber.listens(b"b")


async def test_a_new_connection_is_ready_after_its_subscriptions_are_confirmed() -> None:
    tested = SubscriberUnderTest()
    tested.redis.forbidden = {b"b"}
    tested.want(b"a", b"b")
    ready = tested.attach()
    await turn()
    tested.redis.answer(2)
    await turn()
    assert not ready.done()
    tested.redis.answer(2)
    await turn()
    assert not ready.done()
    await tested.settle()
    assert ready.done()
    assert tested.subscriber.listens(b"a")


async def test_messages_go_to_their_receiver_and_probes_to_the_owner() -> None:
    tested = await connected(b"a", b"b")
    got: list[bytes] = []
    tested.receivers[b"a"] = got.append
    for channel in (b"a", b"b", PROBE, b"p:2"):
        tested.redis.message(channel, channel + b"!")
    assert (got, tested.echoes) == ([b"a!"], [PROBE + b"!"])


@pytest.mark.parametrize(
    "data", [b"-ERR what?\r\n", b"+OK\r\n", b"*2\r\n$4\r\npong\r\n$0\r\n\r\n", b"*1\r\n:1\r\n", b"*-1\r\n"]
)
async def test_an_unexpected_reply_ends_the_connection(data: bytes) -> None:
    tested = await connected()
    tested.redis.say(data + data)
    assert len(tested.lost) == 1
    await turn()


async def test_an_invalid_reply_ends_the_connection() -> None:
    tested = await connected()
    tested.redis.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert "protocol" in tested.lost[0]
    await turn()


async def test_a_lost_connection_is_not_used() -> None:
    tested = SubscriberUnderTest()
    tested.redis.link.connection_lost(None)
    with pytest.raises(Unreachable):
        tested.attach()


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["want", "leave"]), st.sampled_from([b"a", b"b", b"c"])),
            st.tuples(st.just("turn"), st.just(b"")),
            st.tuples(st.just("answer"), st.just(b"")),
            st.tuples(st.just("reconnect"), st.just(b"")),
        ),
        max_size=30,
    )
)
async def test_subscribing_and_unsubscribing_in_any_order_loses_no_subscription(
    steps: list[tuple[str, bytes]],
) -> None:
    tested = await connected()
    waits: list[asyncio.Task[str | None]] = []
    for step, channel in steps:
        if step == "want":
            tested.want(channel)
            waits.append(asyncio.ensure_future(tested.subscriber.wait_listening(channel)))
        elif step == "leave":
            tested.leave(channel)
        elif step == "turn":
            await turn()
        elif step == "answer":
            tested.redis.answer(min(1, len(tested.redis.asked)))
        else:
            tested.subscriber.connection.drop("again")
            tested.redis = FakeRedis()
            tested.attach()
        for each in (b"a", b"b", b"c"):
            # It may only be said that it is listened on if Redis will not end that with what it was sent.
            if tested.subscriber.listens(each) and each in tested.wanted:
                assert each in tested.redis.channels
                assert not any(command[0] == b"UNSUBSCRIBE" and each in command for command in tested.redis.asked)
    await tested.settle()
    await asyncio.wait_for(asyncio.gather(*waits), 1)
    assert tested.redis.channels == {PROBE, *tested.wanted}
    assert all(tested.subscriber.listens(channel) == (channel in tested.wanted) for channel in (b"a", b"b", b"c"))
