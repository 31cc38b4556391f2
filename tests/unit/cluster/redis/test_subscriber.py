from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.cluster.redis.link import Unreachable
from crosswire.cluster.redis.subscriber import MOST_AT_ONCE, Subscriber
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
    scene = SubscriberUnderTest()
    scene.want(*channels)
    scene.attach()
    await scene.settle()
    return scene


async def test_a_new_connection_subscribes_to_everything_and_to_the_probe_last() -> None:
    scene = SubscriberUnderTest()
    scene.want(b"a", b"b")
    ready = scene.attach()
    await turn()
    first, last = scene.redis.asked
    assert (first[0], {*first[1:]}, last) == (b"SUBSCRIBE", {b"a", b"b"}, [b"SUBSCRIBE", PROBE])
    assert scene.redis.writes == 1
    scene.redis.answer(1)
    await turn()
    assert not ready.done()
    scene.redis.answer()
    await turn()
    assert ready.done()


async def test_changes_of_a_turn_are_one_command_and_many_are_split() -> None:
    scene = await connected()
    many = [b"%d" % index for index in range(MOST_AT_ONCE + 1)]
    scene.want(*many)
    await turn()
    assert [len(command) - 1 for command in scene.redis.asked] == [MOST_AT_ONCE, 1]
    await scene.settle()
    scene.leave(b"1", b"2")
    await turn()
    assert [set(command) for command in scene.redis.asked] == [{b"UNSUBSCRIBE", b"1", b"2"}]


async def test_what_is_undone_in_the_same_turn_is_not_sent() -> None:
    scene = await connected(b"a")
    scene.leave(b"a")
    scene.want(b"b", b"a")
    scene.leave(b"b")
    await turn()
    assert not scene.redis.asked
    assert scene.subscriber.listens(b"a")


async def test_a_channel_is_listened_on_when_its_last_subscription_is_confirmed() -> None:
    scene = await connected()
    for change in (scene.want, scene.leave, scene.want):
        change(b"a")
        await turn()
    waiting = asyncio.ensure_future(scene.subscriber.listening(b"a"))
    for _ in range(2):
        scene.redis.answer(1)
        await turn()
        assert not scene.subscriber.listens(b"a")
        assert not waiting.done()
    scene.redis.answer(1)
    assert scene.subscriber.listens(b"a")
    await waiting


async def test_nobody_waits_for_what_is_not_wanted_any_more() -> None:
    scene = await connected()
    await scene.subscriber.listening(b"never wanted")
    scene.want(b"a")
    early = asyncio.ensure_future(scene.subscriber.listening(b"a"))
    await turn()
    late = asyncio.ensure_future(scene.subscriber.listening(b"a"))
    await turn()
    scene.leave(b"a")
    await asyncio.gather(early, late)
    await scene.settle()


async def test_who_waits_may_be_cancelled() -> None:
    scene = await connected()
    scene.want(b"a")
    waits = [asyncio.ensure_future(scene.subscriber.listening(b"a")) for _ in range(2)]
    await turn()
    waits[0].cancel()
    await turn()
    scene.redis.answer()
    await waits[1]
    assert waits[0].cancelled()


async def test_nobody_waits_for_a_connection_that_is_lost() -> None:
    scene = await connected()
    scene.want(b"a")
    await turn()
    waiting = asyncio.ensure_future(scene.subscriber.listening(b"a"))
    await turn()
    scene.subscriber.line.drop("enough")
    await waiting
    assert scene.lost == ["enough"]
    assert not scene.subscriber.line.connected
    assert not scene.subscriber.listens(b"a")
    await scene.subscriber.listening(b"a")


async def test_a_refused_channel_does_not_spoil_the_others() -> None:
    scene = await connected()
    scene.redis.forbidden = {b"b"}
    scene.want(b"a", b"b", b"c")
    await turn()
    waits = [asyncio.ensure_future(scene.subscriber.listening(channel)) for channel in (b"a", b"b", b"c")]
    await scene.settle()
    refusals = await asyncio.gather(*waits)
    assert [refusal is None for refusal in refusals] == [True, False, True]
    assert scene.refused == [b"b"]
    assert [scene.subscriber.listens(channel) for channel in (b"a", b"b", b"c")] == [True, False, True]
    assert scene.redis.channels == {PROBE, b"a", b"c"}
    assert scene.subscriber.refusals.keys() == {b"b"}
    assert scene.whole == 0


async def test_whoever_waits_for_a_refused_channel_lets_it_be_asked_for_again() -> None:
    scene = await connected()
    scene.redis.forbidden = {b"b"}
    scene.want(b"b")
    await scene.settle()
    for expected in (True, True, False):
        waiting = asyncio.gather(*[scene.subscriber.listening(b"b") for _ in range(2)])
        await scene.settle()
        assert [refusal is not None for refusal in await waiting] == [expected] * 2
        if len(scene.refused) == 3:
            scene.redis.forbidden = set()
    assert scene.refused == [b"b"] * 3
    assert (scene.whole, scene.subscriber.refusals) == (1, {})
    assert scene.subscriber.listens(b"b")


async def test_a_refused_channel_that_is_not_wanted_any_more_is_none() -> None:
    scene = await connected()
    scene.redis.forbidden = {b"a", b"b"}
    scene.want(b"a", b"b")
    await scene.settle()
    scene.leave(b"a")
    await scene.settle()
    assert (scene.whole, list(scene.subscriber.refusals)) == (0, [b"b"])
    scene.leave(b"b")
    await scene.settle()
    assert (scene.whole, list(scene.subscriber.refusals)) == (1, [])
    assert await scene.subscriber.listening(b"b") is None


async def test_a_refused_channel_is_asked_for_again_when_it_is_wanted_again() -> None:
    scene = await connected()
    scene.redis.forbidden = {b"b"}
    scene.want(b"b")
    await scene.settle()
    scene.redis.forbidden = set()
    scene.leave(b"b")
    await scene.settle()
    scene.want(b"b")
    await scene.settle()
    assert scene.subscriber.listens(b"b")


async def test_a_new_connection_is_ready_after_what_was_asked_for_again() -> None:
    scene = SubscriberUnderTest()
    scene.redis.forbidden = {b"b"}
    scene.want(b"a", b"b")
    ready = scene.attach()
    await turn()
    scene.redis.answer(2)
    await turn()
    assert not ready.done()
    scene.redis.answer(2)
    await turn()
    assert not ready.done()
    await scene.settle()
    assert ready.done()
    assert scene.subscriber.listens(b"a")


async def test_messages_go_to_who_takes_their_channel_and_probes_to_the_owner() -> None:
    scene = await connected(b"a", b"b")
    got: list[bytes] = []
    scene.receivers[b"a"] = got.append
    for channel in (b"a", b"b", PROBE, b"p:2"):
        scene.redis.message(channel, channel + b"!")
    assert (got, scene.echoes) == ([b"a!"], [PROBE + b"!"])


@pytest.mark.parametrize(
    "data", [b"-ERR what?\r\n", b"+OK\r\n", b"*2\r\n$4\r\npong\r\n$0\r\n\r\n", b"*1\r\n:1\r\n", b"*-1\r\n"]
)
async def test_an_answer_to_nothing_ends_the_connection(data: bytes) -> None:
    scene = await connected()
    scene.redis.say(data + data)
    assert len(scene.lost) == 1
    await turn()


async def test_what_is_no_reply_ends_the_connection() -> None:
    scene = await connected()
    scene.redis.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert "protocol" in scene.lost[0]
    await turn()


async def test_a_connection_that_is_gone_already_is_not_used() -> None:
    scene = SubscriberUnderTest()
    scene.redis.link.connection_lost(None)
    with pytest.raises(Unreachable):
        scene.attach()


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
async def test_joining_and_leaving_in_any_order_and_speed_never_loses_a_subscription(
    steps: list[tuple[str, bytes]],
) -> None:
    scene = await connected()
    waits: list[asyncio.Task[str | None]] = []
    for step, channel in steps:
        if step == "want":
            scene.want(channel)
            waits.append(asyncio.ensure_future(scene.subscriber.listening(channel)))
        elif step == "leave":
            scene.leave(channel)
        elif step == "turn":
            await turn()
        elif step == "answer":
            scene.redis.answer(min(1, len(scene.redis.asked)))
        else:
            scene.subscriber.line.drop("again")
            scene.redis = FakeRedis()
            scene.attach()
        for each in (b"a", b"b", b"c"):
            # It may only be said that it is listened on if Redis will not end that with what it was sent.
            if scene.subscriber.listens(each) and each in scene.wanted:
                assert each in scene.redis.channels
                assert not any(command[0] == b"UNSUBSCRIBE" and each in command for command in scene.redis.asked)
    await scene.settle()
    await asyncio.wait_for(asyncio.gather(*waits), 1)
    assert scene.redis.channels == {PROBE, *scene.wanted}
    assert all(scene.subscriber.listens(channel) == (channel in scene.wanted) for channel in (b"a", b"b", b"c"))
