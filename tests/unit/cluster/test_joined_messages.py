from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire.cluster.joined_messages import MAX_JOINED, JoinedMessages
from crosswire.cluster.send_buffer import Budget
from crosswire.core import envelopes
from crosswire.core.envelopes import MAX_MESSAGES, Batch, BatchKind, ClientBatch, ClientMessage, Event
from crosswire.runtime.flusher import Flusher


class JoinedUnderTest:
    """Joined messages, and what was published of them."""

    def __init__(self) -> None:
        self.budget = Budget(10_000_000)
        self.flusher = Flusher()
        self.published: list[tuple[bytes, list[bytes]]] = []
        self.joined = JoinedMessages(self.budget, self.flusher, self._publish)

    def add(self, channel: bytes, text: bytes, kind: BatchKind = ClientBatch) -> None:
        message = ClientMessage(text) if kind is ClientBatch else Event("a", text.decode(), envelopes.pack(None))
        body = envelopes.encode(message)
        self.joined.add(channel, kind, body, len(body) + len(channel))

    def _publish(self, channel: bytes, body: bytes) -> None:
        envelope = envelopes.decode(body)
        messages = envelope.messages if isinstance(envelope, Batch | ClientBatch) else [envelope]
        texts = [each.json if isinstance(each, ClientMessage) else each.event.encode() for each in messages]  # type: ignore[union-attr]
        self.published.append((channel, texts))


async def test_messages_for_one_channel_that_follow_one_another_are_published_as_one() -> None:
    tested = JoinedUnderTest()
    for text in (b"1", b"2", b"3"):
        tested.add(b"a", text)
    assert not tested.published
    tested.joined.flush()
    assert tested.published == [(b"a", [b"1", b"2", b"3"])]
    assert tested.joined.uncounted == 2


async def test_a_single_message_is_no_batch() -> None:
    bodies: list[bytes] = []
    joined = JoinedMessages(Budget(1000), Flusher(), lambda _channel, body: bodies.append(body))
    joined.add(b"a", ClientBatch, b"the body", 8)
    joined.flush()
    assert (bodies, joined.uncounted) == ([b"the body"], 0)


async def test_what_waits_takes_bytes_of_the_budget_and_is_counted() -> None:
    tested = JoinedUnderTest()
    tested.add(b"a", b"1")
    tested.add(b"a", b"2")
    assert tested.budget.free < tested.budget.limit
    assert tested.joined.uncounted == 2
    tested.joined.flush()
    assert tested.budget.free == tested.budget.limit


async def test_a_large_message_is_not_joined_with_those_before_it() -> None:
    tested = JoinedUnderTest()
    large = b"x" * MAX_JOINED
    for text in (b"1", large, b"2", b"3"):
        tested.add(b"a", text)
    tested.joined.flush()
    assert [texts for _, texts in tested.published] == [[b"1"], [large], [b"2", b"3"]]


_sends = st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.sampled_from([Batch, ClientBatch]), st.booleans()))


@settings(deadline=None)
@given(_sends)
async def test_nothing_is_lost_or_overtaken_and_no_batch_is_too_large(
    sends: list[tuple[bytes, BatchKind, bool]],
) -> None:
    tested = JoinedUnderTest()
    sent = []
    for number, (channel, kind, ends_turn) in enumerate(sends):
        tested.add(channel, b"%d" % number, kind)
        sent.append((channel, b"%d" % number))
        if ends_turn:
            tested.joined.flush()
    tested.joined.flush()
    assert [(channel, text) for channel, texts in tested.published for text in texts] == sent
    assert all(len(texts) <= MAX_MESSAGES for _, texts in tested.published)
    assert tested.budget.free == tested.budget.limit
    assert len(tested.published) + tested.joined.uncounted == len(sent)


async def test_a_batch_has_no_more_messages_than_can_be_read() -> None:
    tested = JoinedUnderTest()
    for number in range(2 * MAX_MESSAGES + 1):
        tested.add(b"a", b"%d" % number)
    tested.joined.flush()
    assert [len(texts) for _, texts in tested.published] == [MAX_MESSAGES, MAX_MESSAGES, 1]
