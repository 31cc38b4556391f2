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
from tests.support.aio import wait_until
from tests.support.loops import on_instant_loop
from tests.unit.cluster.redis.fake_redis import FakeRedis

HEADER = b"#"


class FakeSite:
    """One Redis of a scene, and the endpoint for it."""

    def __init__(self, scene: PoolUnderTest, name: str) -> None:
        self._scene = scene
        dialer = Dialer(parse(f"redis://{name}"), "node", 1)
        self.endpoint = Endpoint(dialer, ProbeTiming(1, 1), b"p:1", set(), {}, scene.budget, scene)
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
        self.endpoint.publisher.line.drop("enough")

    def _lost(self, reason: str) -> None:
        self.endpoint.usable = False
        self._scene.publisher_lost(self.endpoint, self.endpoint.publisher.detach(), was_usable=True)


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
    scene = PoolUnderTest(1)
    scene.publish(b"1", b"2", b"3")
    await turn()
    assert scene.published == [[b"1", b"2", b"3"]]
    assert scene.sites[0].redis.writes == 1
    scene.sites[0].redis.answer()
    assert scene.budget.free == scene.budget.limit
    scene.sites[0].drop()
    assert not scene.dropped


async def test_what_comes_while_there_is_none_goes_first_when_there_is_one() -> None:
    scene = PoolUnderTest(1)
    scene.sites[0].drop()
    scene.publish(b"1")
    scene.publish_plain(b"2")
    scene.publish(b"3")
    scene.sites[0].connect()
    scene.use()
    scene.publish(b"4")
    await turn()
    assert scene.published == [[b"1", b"2", b"3", b"4"]]
    scene.sites[0].redis.answer()
    assert scene.budget.free == scene.budget.limit


async def test_what_was_not_acknowledged_is_published_elsewhere_before_anything_newer() -> None:
    scene = PoolUnderTest(2)
    scene.publish(b"1", b"2", b"3", b"4")
    await turn()
    assert scene.published == [[b"1", b"3"], [b"2", b"4"]]
    scene.sites[0].redis.answer(1)
    scene.sites[0].drop()
    scene.publish(b"5")
    await turn()
    assert scene.published[1] == [b"2", b"4", b"3", b"5"]


async def test_what_was_not_acknowledged_waits_before_anything_newer_when_there_is_none() -> None:
    scene = PoolUnderTest(1)
    scene.publish(b"1", b"2")
    scene.sites[0].drop()
    scene.publish(b"3")
    scene.sites[0].connect()
    scene.use()
    scene.publish(b"4")
    scene.sites[0].drop()
    scene.publish(b"5")
    scene.sites[0].connect()
    scene.use()
    await turn()
    assert scene.published == [[b"1", b"2", b"3", b"4", b"5"]]
    scene.sites[0].redis.answer()
    assert (scene.budget.free, scene.dropped) == (scene.budget.limit, 0)


async def test_plain_messages_are_not_published_again() -> None:
    scene = PoolUnderTest(1)
    scene.publish(b"1")
    scene.publish_plain(b"2")
    scene.sites[0].drop()
    scene.sites[0].connect()
    scene.use()
    await turn()
    assert (scene.published, scene.dropped) == ([[b"1"]], 1)
    scene.sites[0].redis.answer()
    assert scene.budget.free == scene.budget.limit


async def test_two_copies_and_none_is_replaced_while_the_other_is_left() -> None:
    scene = PoolUnderTest(2, copies=2)
    scene.publish(b"1", b"2", b"3")
    scene.publish_plain(b"plain")
    await turn()
    one, two = scene.sites
    assert sorted(one.published + two.published) == sorted([b"1", b"2", b"3"] * 2 + [b"plain"])
    two.redis.answer(1)
    one.drop()
    await turn()
    assert [body for body in two.published if body != b"plain"] == [b"2", b"3"]
    two.drop()
    one.connect()
    scene.use()
    await turn()
    assert one.published == [b"2", b"3"]
    one.redis.answer()
    assert scene.budget.free == scene.budget.limit


async def test_an_announcement_is_published_everywhere_and_nowhere_later() -> None:
    scene = PoolUnderTest(2)
    scene.announce(b"here")
    await turn()
    assert scene.published == [[b"here"], [b"here"]]
    for site in scene.sites:
        site.drop()
    scene.sites[0].connect()
    scene.use()
    await turn()
    assert scene.published[0] == []
    assert scene.budget.free == scene.budget.limit


async def test_what_one_refuses_is_published_on_all_others_and_dropped_when_all_have_refused() -> None:
    scene = PoolUnderTest(3)
    scene.publish(b"1")
    await turn()
    first = next(site for site in scene.sites if site.published)
    others = [site for site in scene.sites if site is not first]
    first.redis.say(b"-NOPERM no permission\r\n")
    await turn()
    assert [site.published for site in others] == [[b"1"], [b"1"]]
    others[0].redis.say(b"-NOPERM no permission\r\n")
    assert scene.dropped == 0
    others[1].redis.say(b"-NOPERM no permission\r\n")
    await turn()
    assert scene.dropped == 1
    assert scene.budget.free == scene.budget.limit
    assert [len(site.published) for site in scene.sites] == [1, 1, 1]


async def test_what_has_no_number_is_dropped_when_it_is_refused() -> None:
    scene = PoolUnderTest(2)
    scene.publish_plain(b"1")
    await turn()
    one = next(site for site in scene.sites if site.published)
    one.redis.say(b"-NOPERM no permission\r\n")
    await turn()
    assert scene.dropped == 1
    assert sum(len(site.published) for site in scene.sites) == 1
    assert scene.budget.free == scene.budget.limit


async def test_what_a_redis_refuses_another_publishes_and_so_it_does_what_that_can_not_do_now() -> None:
    scene = PoolUnderTest(2)
    scene.publish(b"1", b"2", b"3")
    await turn()
    one, two = scene.sites
    one.redis.asked.clear()
    one.redis.say(b"-NOPERM no permission\r\n")
    assert one.endpoint.last_error == "NOPERM no permission"
    await turn()
    assert two.published == [b"2", b"1"]
    one.redis.say(b"-LOADING Redis is loading the dataset in memory\r\n:1\r\n")
    await turn()
    assert two.published == [b"2", b"1", b"3"]
    assert scene.dropped == 0
    assert not one.endpoint.usable
    two.redis.answer()
    assert scene.budget.free == scene.budget.limit


async def test_of_those_that_work_the_common_ones_are_used_or_all_if_none_is_common() -> None:
    scene = PoolUnderTest(3)
    ids = [site.endpoint.id for site in scene.sites]

    async def used(common: Sequence[str] | None) -> list[int]:
        scene.pool.prefer(common)
        scene.publish(*[b"x"] * 6)
        await turn()
        counts = [len(site.published) for site in scene.sites]
        for site in scene.sites:
            site.redis.answer()
        return counts

    assert await used([ids[1], "elsewhere:6379"]) == [0, 6, 0]
    assert await used(ids[1:]) == [0, 3, 3]
    assert await used([]) == [2, 2, 2]
    assert await used(None) == [2, 2, 2]


@on_instant_loop
async def test_after_an_outage_messages_wait_for_somebody_to_listen() -> None:
    scene = PoolUnderTest(1)
    scene.sites[0].drop()
    scene.pool.prefer([])
    scene.publish(b"1")
    scene.sites[0].connect()
    scene.use()
    scene.publish(b"2")
    await turn()
    assert scene.published == [[]]
    scene.pool.prefer([scene.sites[0].endpoint.id])
    scene.publish(b"3")
    await turn()
    assert scene.published == [[b"1", b"2", b"3"]]


@on_instant_loop
async def test_after_an_outage_they_do_not_wait_for_ever() -> None:
    scene = PoolUnderTest(1)
    scene.sites[0].drop()
    scene.pool.prefer([])
    scene.publish(b"1")
    scene.sites[0].connect()
    scene.use()
    await wait_until(lambda: scene.published == [[b"1"]])


@on_instant_loop
async def test_after_another_outage_they_wait_anew() -> None:
    scene = PoolUnderTest(1)
    scene.pool.prefer([])
    scene.sites[0].drop()
    scene.sites[0].connect()
    scene.use()
    scene.sites[0].drop()
    await asyncio.sleep(60)  # longer than it would have waited
    scene.publish(b"1")
    scene.sites[0].connect()
    scene.use()
    await turn()
    assert scene.published == [[]]
    await wait_until(lambda: scene.published == [[b"1"]])


async def test_when_closed_it_drops_what_was_to_be_published_again() -> None:
    scene = PoolUnderTest(1)
    scene.publish(b"1", b"2")
    await turn()
    scene.sites[0].drop()
    before = scene.dropped
    scene.pool.close()
    assert (before, scene.dropped) == (0, 2)
    assert scene.buffer.paused


async def test_when_closed_it_drops_what_is_lost_later() -> None:
    scene = PoolUnderTest(1)
    scene.publish(b"1")
    await turn()
    scene.pool.close()
    scene.sites[0].drop()
    assert scene.dropped == 1


async def test_it_pauses_once_while_none_can_be_used() -> None:
    scene = PoolUnderTest(2)
    scene.sites[0].drop()
    assert scene.pauses == 0
    scene.sites[1].drop()
    scene.use()
    assert scene.pauses == 1
