"""The choice of a Redis for the messages of an emitter, with links that are made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.cluster.redis.commands import publish
from crosswire.emitter.publisher import MAX_PIPELINED, Outgoing, Publisher
from crosswire.emitter.redis_link import LinkFailed, RedisLink, Refusal
from crosswire.errors import BusUnavailable

CHANNELS = [b"channel %d" % number for number in range(20)]


@dataclass(eq=False)
class FakeLink:
    """A Redis, as the test wants it to be."""

    id: str
    nodes: int = 1
    fails: str = ""  # "connect", "answer" or "refuse"
    unusable: bool = False
    forbids_to_ask: bool = False
    published: list[bytes] = field(default_factory=list)
    latency: float | None = None
    listeners: int | None = None
    tells_listeners: bool = True
    retry_at: float = -inf
    retry_anyway_at: float = -inf
    failure: str = ""
    asked: int = 0
    _unread: list[bytes] = field(default_factory=list)

    @property
    def shown(self) -> str:
        return self.id

    def send(self, commands: Sequence[bytes]) -> None:
        if self.fails == "connect":
            self._fail(sent=False)
        self._unread = list(commands)
        self.published += [command for command in commands if b"PUBLISH" in command]
        self.asked += any(b"NUMSUB" in command for command in commands)

    def receive(self, count: int) -> list[Any]:
        commands, self._unread = self._unread, []
        assert len(commands) == count
        if self.fails == "answer":
            self._fail(sent=True)
        return [self._answer(command) for command in commands]

    def drop(self) -> None:
        self._unread, self.listeners = [], None

    def leave_out(self, why: str, *, hung: bool = False) -> None:
        self.retry_at, self.failure = inf, f"{self.id}: {why}"

    def _answer(self, command: bytes) -> Any:
        if b"NUMSUB" in command:
            return Refusal("no permission", False) if self.forbids_to_ask else [b"nodes", self.nodes]
        return Refusal("refused", self.unusable) if self.fails == "refuse" else self.nodes

    def _fail(self, *, sent: bool) -> None:
        self.drop()
        self.leave_out("it failed")
        raise LinkFailed(f"{self.id}: it failed", sent=sent)


def publisher_of(*links: FakeLink, strategy: str = "hash", copies: int = 1) -> Publisher:
    publisher = Publisher(cast(Sequence[RedisLink], links), strategy, copies)
    publisher.compare_listeners_of(b"nodes")
    return publisher


def messages(channels: Sequence[bytes] = CHANNELS, *, plain: bool = False) -> list[Outgoing]:
    return [Outgoing(channel, publish(channel, b"", b"x"), plain=plain) for channel in channels]


def send(publisher: Publisher, *, plain: bool = False) -> list[Outgoing]:
    sent = messages(plain=plain)
    publisher.publish(sent)
    assert all(message.receivers is not None for message in sent)
    return sent


def test_with_a_single_redis_nobody_asks_who_listens() -> None:
    publisher = publisher_of(one := FakeLink("one", nodes=0))
    assert [message.receivers for message in send(publisher)] == [0] * len(CHANNELS)
    assert (len(one.published), one.asked) == (len(CHANNELS), 0)


def test_each_message_is_published_on_one_redis_or_on_as_many_as_copies() -> None:
    links = [FakeLink(name) for name in ("one", "two", "three")]
    send(publisher_of(*links))
    assert sum(len(link.published) for link in links) == len(CHANNELS)
    assert all(link.published for link in links)
    links = [FakeLink(name) for name in ("one", "two", "three")]
    send(publisher_of(*links, copies=2))
    assert sum(len(link.published) for link in links) == 2 * len(CHANNELS)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("fails", ["connect", "refuse"])
def test_what_one_redis_does_not_take_another_does(fails: str, copies: int, plain: bool) -> None:
    links = [FakeLink("one", fails=fails), FakeLink("two"), FakeLink("three")]
    send(publisher_of(*links, copies=copies), plain=plain)
    for channel in CHANNELS:
        assert any(channel in command for link in links[1:] for command in link.published)


def test_a_message_that_may_have_arrived_is_sent_again_only_if_it_has_a_number() -> None:
    links = [FakeLink("one", fails="answer"), FakeLink("two")]
    send(publisher_of(*links))
    assert len(links[1].published) == len(CHANNELS)
    links = [FakeLink("one", fails="answer"), FakeLink("two")]
    publisher = publisher_of(*links)
    publisher._survey = lambda links: None  # type: ignore[method-assign]  # it would find out before
    with pytest.raises(BusUnavailable, match="may have arrived or not"):
        publisher.publish(messages(plain=True))
    assert len(links[1].published) < len(CHANNELS)


def test_a_redis_with_fewer_nodes_is_left_out_and_its_messages_are_sent_again() -> None:
    links = [FakeLink("one", nodes=2), FakeLink("two", nodes=3), FakeLink("three", nodes=3)]
    publisher = publisher_of(*links)
    assert all(message.receivers == 3 for message in send(publisher))
    assert links[0].retry_at == inf
    before = len(links[0].published)
    send(publisher)
    assert len(links[0].published) == before


def test_when_nodes_leave_all_redis_stay_in_use() -> None:
    links = [FakeLink("one", nodes=3), FakeLink("two", nodes=3)]
    publisher = publisher_of(*links)
    send(publisher)
    for link in links:
        link.nodes = 1
    send(publisher)
    send(publisher)
    assert [link.retry_at for link in links] == [-inf, -inf]
    assert sum(len(link.published) for link in links) == 3 * len(CHANNELS)


def test_a_message_that_only_some_nodes_can_get_is_sent_to_those() -> None:
    links = [FakeLink("one", nodes=1), FakeLink("two", nodes=2)]
    publisher = publisher_of(*links)
    send(publisher)
    links[0].retry_at = -inf
    links[1].fails = "refuse"
    assert all(message.receivers == 1 for message in send(publisher))


def test_plain_messages_are_not_sent_to_a_redis_with_fewer_nodes() -> None:
    links = [FakeLink("one", nodes=1), FakeLink("two", nodes=2)]
    publisher = publisher_of(*links)
    send(publisher, plain=True)
    send(publisher, plain=True)
    published = [command for link in links for command in link.published]
    assert all(published.count(publish(channel, b"", b"x")) <= 2 for channel in CHANNELS)
    assert len(links[1].published) >= len(CHANNELS)


def test_where_asking_is_forbidden_it_is_not_tried_with_each_message() -> None:
    links = [FakeLink("one", forbids_to_ask=True), FakeLink("two", forbids_to_ask=True)]
    publisher = publisher_of(*links)
    send(publisher)
    asked = [link.asked for link in links]
    send(publisher)
    assert [link.asked for link in links] == [count + 1 for count in asked], "with the messages, in the same write"


def test_a_redis_that_can_not_be_used_now_is_left_out() -> None:
    links = [FakeLink("one", fails="refuse", unusable=True), FakeLink("two")]
    send(publisher_of(*links))
    assert [link.retry_at for link in links] == [inf, -inf]


def test_if_all_fail_the_reasons_are_told_and_those_that_fail_at_once_are_tried_again() -> None:
    links = [FakeLink("one", fails="connect"), FakeLink("two", fails="answer")]
    publisher = publisher_of(*links)
    for _ in range(2):
        with pytest.raises(BusUnavailable, match=r"one: it failed; two: it failed"):
            publisher.publish(messages())
    links[0].fails = ""
    send(publisher)
    links[0].fails, links[0].retry_anyway_at, links[1].retry_anyway_at = "connect", inf, inf
    with pytest.raises(BusUnavailable):
        publisher.publish(messages())
    tried = len(links[1].published)
    with pytest.raises(BusUnavailable, match="it failed"):
        publisher.publish(messages())
    assert len(links[1].published) == tried


def test_many_messages_are_sent_in_parts() -> None:
    publisher = publisher_of(one := FakeLink("one"))
    many = messages([b"%d" % number for number in range(2 * MAX_PIPELINED + 1)])
    publisher.publish(many)
    assert one.published == [message.command for message in many]
    publisher.publish([])


KINDS: list[Callable[[str], FakeLink]] = [
    lambda name: FakeLink(name, nodes=2),
    lambda name: FakeLink(name, nodes=1),
    lambda name: FakeLink(name, nodes=2, forbids_to_ask=True),
    lambda name: FakeLink(name, fails="connect"),
    lambda name: FakeLink(name, fails="answer"),
    lambda name: FakeLink(name, fails="refuse"),
    lambda name: FakeLink(name, fails="refuse", unusable=True),
]


@given(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=4),
    st.sampled_from(["hash", "round-robin", "random", "fastest"]),
    st.integers(1, 2),
    st.integers(1, 3),
)
def test_messages_are_published_if_any_redis_takes_them(
    kinds: list[Callable[[str], FakeLink]], strategy: str, copies: int, times: int
) -> None:
    links = [kind(str(number)) for number, kind in enumerate(kinds)]
    publisher, takes = publisher_of(*links, strategy=strategy, copies=copies), any(not link.fails for link in links)
    for _ in range(times):
        sent = messages()
        try:
            publisher.publish(sent)
            assert takes
            assert all(message.receivers for message in sent)
        except BusUnavailable:
            assert not takes
    counting = [link for link in links if not link.fails and not link.forbids_to_ask]
    if takes and all(not link.fails and not link.forbids_to_ask for link in links):
        best = max(link.nodes for link in counting)
        for channel in CHANNELS:
            command = publish(channel, b"", b"x")
            assert sum(link.published.count(command) for link in links if link.nodes == best) >= times
