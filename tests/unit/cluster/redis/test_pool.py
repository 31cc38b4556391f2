from __future__ import annotations

import asyncio
from collections.abc import Sequence

from crosswire.cluster.redis.address import parse
from crosswire.cluster.redis.choice import make_choice
from crosswire.cluster.redis.commands import publish
from crosswire.cluster.redis.dialer import Dialer
from crosswire.cluster.redis.endpoint import Endpoint, ProbeTiming
from crosswire.cluster.redis.pool import Pool
from crosswire.cluster.redis.publisher import Message
from crosswire.cluster.send_buffer import Budget, SendBuffer
from crosswire.core.envelopes import ClientBatch, ClientMessage, encode, join, pack_header
from crosswire.core.signing import Signer
from tests.support.aio import wait_until
from tests.support.loops import on_instant_loop
from tests.unit.cluster.redis.fake_redis import FakeRedis

HEADER = b"#"


class FakeSite:
    """A fake Redis and the endpoint for it."""

    def __init__(self, tested: PoolUnderTest, name: str) -> None:
        self._tested = tested
        dialer = Dialer(parse(f"redis://{name}"), "node", 1)
        self.endpoint = Endpoint(dialer, ProbeTiming(1, 1), b"p:1", set(), {}, tested.budget, tested)
        self.connect()

    def connect(self) -> None:
        self.redis = FakeRedis()
        self.endpoint.publisher.attach(self.redis.link, self._lost)
        self.endpoint.usable = True

    @property
    def published(self) -> list[bytes]:
        """Bodies that wait to be acknowledged."""
        return [command[2].removeprefix(HEADER) for command in self.redis.asked]

    def drop(self) -> None:
        self.endpoint.publisher.connection.drop("enough")

    def _lost(self, reason: str) -> None:
        self.endpoint.usable = False
        self._tested.publisher_lost(self.endpoint, self.endpoint.publisher.detach(), was_usable=True)


class PoolUnderTest:
    """A pool with the buffer before it, and as many Redis as are needed."""

    def __init__(self, count: int, *, copies: int = 1) -> None:
        self.budget = Budget(10_000)
        self.dropped = 0
        self.pauses = 0
        self.buffer = SendBuffer(self.budget, "drop", self.messages_dropped)
        self.pool = Pool(make_choice("round-robin", copies), self.budget, self)
        self.sites = [FakeSite(self, f"r{index}") for index in range(count)]
        self.use()

    def use(self) -> None:
        self.pool.use([site.endpoint for site in self.sites if site.endpoint.usable])

    def publish(self, *bodies: bytes) -> None:
        for body in bodies:
            (self.buffer if self.buffer.paused else self.pool).publish(b"c", HEADER, body)

    def publish_plain(self, body: bytes) -> None:
        (self.buffer if self.buffer.paused else self.pool).publish_plain(b"c", body)

    def announce(self, body: bytes) -> None:
        self.pool.announce(publish(b"c", b"", body), [each.endpoint for each in self.sites if each.endpoint.usable])

    @property
    def published(self) -> list[list[bytes]]:
        return [site.published for site in self.sites]

    def messages_dropped(self, reason: str | None, count: int = 1) -> None:
        self.dropped += count

    def pause_publishing(self) -> None:
        self.buffer.paused = True
        self.pauses += 1

    def resume_publishing(self) -> None:
        assert self.buffer.paused
        self.buffer.paused = False
        self.buffer.flush(self.pool)

    def publisher_lost(self, endpoint: Endpoint, messages: list[Message], *, was_usable: bool) -> None:
        self.use()
        self.pool.lost(messages)

    def publish_refused(self, endpoint: Endpoint, message: Message, error: str) -> None:
        self.pool.refused(endpoint, message)

    def endpoint_works(self, endpoint: Endpoint, since: float | None) -> None: ...

    def endpoint_changed(self, endpoint: Endpoint) -> None: ...

    def endpoint_measured(self, endpoint: Endpoint) -> None: ...

    def subscription_refused(self, endpoint: Endpoint, channel: bytes, error: str) -> None: ...

    def all_subscribed(self, endpoint: Endpoint) -> None: ...


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_messages_of_one_turn_leave_in_one_write_and_are_forgotten_when_acknowledged() -> None:
    tested = PoolUnderTest(1)
    tested.publish(b"1", b"2", b"3")
    await turn()
    assert tested.published == [[b"1", b"2", b"3"]]
    assert tested.sites[0].redis.writes == 1
    tested.sites[0].redis.answer()
    assert tested.budget.free == tested.budget.limit
    tested.sites[0].drop()
    assert not tested.dropped


async def test_messages_buffered_during_an_outage_are_published_first() -> None:
    tested = PoolUnderTest(1)
    tested.sites[0].drop()
    tested.publish(b"1")
    tested.publish_plain(b"2")
    tested.publish(b"3")
    tested.sites[0].connect()
    tested.use()
    tested.publish(b"4")
    await turn()
    assert tested.published == [[b"1", b"2", b"3", b"4"]]
    tested.sites[0].redis.answer()
    assert tested.budget.free == tested.budget.limit


async def test_unacknowledged_messages_are_published_elsewhere_before_newer_ones() -> None:
    tested = PoolUnderTest(2)
    tested.publish(b"1", b"2", b"3", b"4")
    await turn()
    assert tested.published == [[b"1", b"3"], [b"2", b"4"]]
    tested.sites[0].redis.answer(1)
    tested.sites[0].drop()
    tested.publish(b"5")
    await turn()
    assert tested.published[1] == [b"2", b"4", b"3", b"5"]


async def test_unacknowledged_messages_wait_before_newer_ones_during_an_outage() -> None:
    tested = PoolUnderTest(1)
    tested.publish(b"1", b"2")
    tested.sites[0].drop()
    tested.publish(b"3")
    tested.sites[0].connect()
    tested.use()
    tested.publish(b"4")
    tested.sites[0].drop()
    tested.publish(b"5")
    tested.sites[0].connect()
    tested.use()
    await turn()
    assert tested.published == [[b"1", b"2", b"3", b"4", b"5"]]
    tested.sites[0].redis.answer()
    assert (tested.budget.free, tested.dropped) == (tested.budget.limit, 0)


async def test_plain_messages_are_not_published_again() -> None:
    tested = PoolUnderTest(1)
    tested.publish(b"1")
    tested.publish_plain(b"2")
    tested.sites[0].drop()
    tested.sites[0].connect()
    tested.use()
    await turn()
    assert (tested.published, tested.dropped) == ([[b"1"]], 1)
    tested.sites[0].redis.answer()
    assert tested.budget.free == tested.budget.limit


async def test_a_lost_copy_is_not_replaced_while_the_other_is_left() -> None:
    tested = PoolUnderTest(2, copies=2)
    tested.publish(b"1", b"2", b"3")
    tested.publish_plain(b"plain")
    await turn()
    one, two = tested.sites
    assert sorted(one.published + two.published) == sorted([b"1", b"2", b"3"] * 2 + [b"plain"])
    two.redis.answer(1)
    one.drop()
    await turn()
    assert [body for body in two.published if body != b"plain"] == [b"2", b"3"]
    two.drop()
    one.connect()
    tested.use()
    await turn()
    assert one.published == [b"2", b"3"]
    one.redis.answer()
    assert tested.budget.free == tested.budget.limit


async def test_an_announcement_is_published_everywhere_and_nowhere_later() -> None:
    tested = PoolUnderTest(2)
    tested.announce(b"here")
    await turn()
    assert tested.published == [[b"here"], [b"here"]]
    for site in tested.sites:
        site.drop()
    tested.sites[0].connect()
    tested.use()
    await turn()
    assert tested.published[0] == []
    assert tested.budget.free == tested.budget.limit


async def test_a_refused_message_is_published_on_the_others_and_dropped_when_all_refuse() -> None:
    tested = PoolUnderTest(3)
    tested.publish(b"1")
    await turn()
    first = next(site for site in tested.sites if site.published)
    others = [site for site in tested.sites if site is not first]
    first.redis.say(b"-NOPERM no permission\r\n")
    await turn()
    assert [site.published for site in others] == [[b"1"], [b"1"]]
    others[0].redis.say(b"-NOPERM no permission\r\n")
    assert tested.dropped == 0
    others[1].redis.say(b"-NOPERM no permission\r\n")
    await turn()
    assert tested.dropped == 1
    assert tested.budget.free == tested.budget.limit
    assert [len(site.published) for site in tested.sites] == [1, 1, 1]


async def test_a_refused_plain_message_is_dropped() -> None:
    tested = PoolUnderTest(2)
    tested.publish_plain(b"1")
    await turn()
    one = next(site for site in tested.sites if site.published)
    one.redis.say(b"-NOPERM no permission\r\n")
    await turn()
    assert tested.dropped == 1
    assert sum(len(site.published) for site in tested.sites) == 1
    assert tested.budget.free == tested.budget.limit


async def test_a_message_that_one_redis_refuses_is_published_by_another() -> None:
    tested = PoolUnderTest(2)
    tested.publish(b"1", b"2", b"3")
    await turn()
    one, two = tested.sites
    one.redis.asked.clear()
    one.redis.say(b"-NOPERM no permission\r\n")
    assert one.endpoint.last_error == "NOPERM no permission"
    await turn()
    assert two.published == [b"2", b"1"]
    one.redis.say(b"-LOADING Redis is loading the dataset in memory\r\n:1\r\n")
    await turn()
    assert two.published == [b"2", b"1", b"3"]
    assert tested.dropped == 0
    assert not one.endpoint.usable
    two.redis.answer()
    assert tested.budget.free == tested.budget.limit


async def test_endpoints_that_all_members_have_are_preferred() -> None:
    tested = PoolUnderTest(3)
    ids = [site.endpoint.id for site in tested.sites]

    async def used(common: Sequence[str] | None) -> list[int]:
        tested.pool.prefer(common)
        tested.publish(*[b"x"] * 6)
        await turn()
        counts = [len(site.published) for site in tested.sites]
        for site in tested.sites:
            site.redis.answer()
        return counts

    assert await used([ids[1], "elsewhere:6379"]) == [0, 6, 0]
    assert await used(ids[1:]) == [0, 3, 3]
    assert await used([]) == [2, 2, 2]
    assert await used(None) == [2, 2, 2]


@on_instant_loop
async def test_after_an_outage_messages_wait_for_a_subscriber() -> None:
    tested = PoolUnderTest(1)
    tested.sites[0].drop()
    tested.pool.prefer([])
    tested.publish(b"1")
    tested.sites[0].connect()
    tested.use()
    tested.publish(b"2")
    await turn()
    assert tested.published == [[]]
    tested.pool.prefer([tested.sites[0].endpoint.id])
    tested.publish(b"3")
    await turn()
    assert tested.published == [[b"1", b"2", b"3"]]


@on_instant_loop
async def test_after_an_outage_messages_wait_for_a_limited_time() -> None:
    tested = PoolUnderTest(1)
    tested.sites[0].drop()
    tested.pool.prefer([])
    tested.publish(b"1")
    tested.sites[0].connect()
    tested.use()
    await wait_until(lambda: tested.published == [[b"1"]])


@on_instant_loop
async def test_after_another_outage_messages_wait_anew() -> None:
    tested = PoolUnderTest(1)
    tested.pool.prefer([])
    tested.sites[0].drop()
    tested.sites[0].connect()
    tested.use()
    tested.sites[0].drop()
    await asyncio.sleep(60)  # longer than it would have waited
    tested.publish(b"1")
    tested.sites[0].connect()
    tested.use()
    await turn()
    assert tested.published == [[]]
    await wait_until(lambda: tested.published == [[b"1"]])


async def test_a_closed_pool_drops_messages_to_be_published_again() -> None:
    tested = PoolUnderTest(1)
    tested.publish(b"1", b"2")
    await turn()
    tested.sites[0].drop()
    before = tested.dropped
    tested.pool.close()
    assert (before, tested.dropped) == (0, 2)
    assert tested.buffer.paused


async def test_a_batch_that_is_dropped_counts_as_all_its_messages() -> None:
    batch = join(ClientBatch, [encode(ClientMessage(b"%d" % number)) for number in range(3)])
    signed = Signer([b"k" * 16]).header(b"c", b"12345678", 2, 1, 0, batch)
    tested = PoolUnderTest(1)
    for header in (pack_header(b"12345678", 1, 0), signed):
        tested.pool.publish(b"c", header, batch)
    await turn()
    tested.sites[0].drop()
    tested.pool.close()
    assert tested.dropped == 6


async def test_a_closed_pool_drops_messages_that_are_lost_later() -> None:
    tested = PoolUnderTest(1)
    tested.publish(b"1")
    await turn()
    tested.pool.close()
    tested.sites[0].drop()
    assert tested.dropped == 1


async def test_a_pool_without_usable_endpoints_pauses_once() -> None:
    tested = PoolUnderTest(2)
    tested.sites[0].drop()
    assert tested.pauses == 0
    tested.sites[1].drop()
    tested.use()
    assert tested.pauses == 1
