from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire.cluster.joined_messages import MAX_JOINED, JoinedMessages
from crosswire.cluster.send_buffer import OVERHEAD, Budget, SendBuffer
from crosswire.core import envelopes
from crosswire.core.envelopes import MAX_MESSAGES, Batch, BatchKind, ClientBatch, ClientMessage, Event, TextBatch
from crosswire.runtime.flusher import Flusher


class JoinedUnderTest:
    """Joined messages, and what was published of them."""

    def __init__(self, limit: int = 10_000_000) -> None:
        self.budget = Budget(limit)
        self.buffer = SendBuffer(self.budget, "drop", lambda _why, _count: None)
        self.buffer.paused = False
        self.flusher = Flusher()
        self.published: list[tuple[bytes, list[bytes]]] = []
        self.bodies: list[bytes] = []
        self.asked: list[tuple[bytes, int]] = []  # what was asked of messages that do not fit in
        self.joined = JoinedMessages(self.budget, self.buffer, self.flusher, self._admits, self._publish)
        self._publish_for_user = self.joined.publisher_for_users(str.encode)

    def add(self, channel: bytes, text: bytes, kind: BatchKind = ClientBatch) -> None:
        if kind is TextBatch:
            self.joined.publish(channel, text, kind)
            return
        message = ClientMessage(text) if kind is ClientBatch else Event("a", text.decode(), envelopes.pack(None))
        self.joined.publish(channel, envelopes.encode(message), kind)

    def add_for_user(self, channel: bytes, text: bytes) -> None:
        self._publish_for_user(channel.decode(), text)

    def _admits(self, channel: bytes, size: int) -> bool:
        self.asked.append((channel, size))
        return False

    def _publish(self, channel: bytes, body: bytes) -> None:
        self.bodies.append(body)
        envelope = envelopes.decode(body)
        if isinstance(envelope, TextBatch):
            self.published.append((channel, envelope.texts))
            return
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


async def test_the_batches_of_a_turn_are_published_together_in_their_order() -> None:
    tested = JoinedUnderTest()
    for channel, text in ((b"a", b"1"), (b"b", b"2"), (b"b", b"3"), (b"a", b"4")):
        tested.add(channel, text)
    assert (tested.published, tested.joined.uncounted) == ([], 4)
    tested.joined.flush()
    assert tested.published == [(b"a", [b"1"]), (b"b", [b"2", b"3"]), (b"a", [b"4"])]
    assert (tested.joined.uncounted, tested.budget.free) == (1, tested.budget.limit)


async def test_a_single_message_is_no_batch() -> None:
    tested = JoinedUnderTest()
    body = envelopes.encode(ClientMessage(b"1"))
    tested.joined.publish(b"a", body, ClientBatch)
    tested.joined.flush()
    assert (tested.bodies, tested.joined.uncounted) == ([body], 0)


async def test_texts_that_follow_one_another_are_a_batch_of_texts_and_one_alone_is_a_message() -> None:
    tested = JoinedUnderTest()
    for channel, text in ((b"a", b"1"), (b"a", b"2"), (b"b", b"3")):
        tested.add(channel, text, TextBatch)
    tested.joined.flush()
    assert tested.bodies == [envelopes.encode(TextBatch([b"1", b"2"])), envelopes.encode(ClientMessage(b"3"))]
    assert tested.joined.uncounted == 1
    assert tested.budget.free == tested.budget.limit


async def test_texts_for_a_user_are_joined_with_those_on_its_channel_and_no_others() -> None:
    tested = JoinedUnderTest()
    for channel, text in ((b"a", b"1"), (b"a", b"2"), (b"b", b"3"), (b"a", b"4")):
        tested.add_for_user(channel, text)
    tested.add(b"a", b"5", TextBatch)
    tested.add_for_user(b"a", b"6")
    tested.add(b"a", b"7")
    tested.add_for_user(b"a", b"8")
    tested.joined.flush()
    tested.add_for_user(b"a", b"9")
    tested.joined.flush()
    expected = [
        (b"a", [b"1", b"2"]),
        (b"b", [b"3"]),
        (b"a", [b"4", b"5", b"6"]),
        *((b"a", [text]) for text in (b"7", b"8", b"9")),
    ]
    assert tested.published == expected


async def test_a_text_for_a_user_that_does_not_fit_in_is_not_published() -> None:
    tested = JoinedUnderTest(limit=300)
    for _ in range(3):
        tested.add_for_user(b"a", b"x" * 60)
    tested.joined.flush()
    assert tested.published == [(b"a", [b"x" * 60] * 2)]
    assert tested.asked == [(b"a", len(b"a") + 60 + OVERHEAD)]


async def test_a_text_behind_one_that_was_not_admitted_goes_to_its_own_user() -> None:
    tested = JoinedUnderTest(limit=300)
    for channel, text in ((b"a", b"x" * 60), (b"b", b"x" * 100), (b"b", b"y")):
        tested.add_for_user(channel, text)
    tested.joined.flush()
    assert tested.published == [(b"a", [b"x" * 60]), (b"b", [b"y"])]


async def test_texts_wait_with_encoded_messages_as_long_as_a_member_knows_no_batch_of_texts() -> None:
    tested = JoinedUnderTest()
    tested.add(b"a", b"1", TextBatch)
    tested.add(b"a", b"2", TextBatch)
    tested.joined.joins_texts = False  # that one must not get what waits as it is joined now
    for text in (b"3", b"4"):
        tested.add(b"a", text, TextBatch)
    tested.add(b"a", b"5")
    tested.joined.flush()
    later = envelopes.join(ClientBatch, [envelopes.encode(ClientMessage(b"%d" % each)) for each in (3, 4, 5)])
    assert tested.bodies == [envelopes.encode(TextBatch([b"1", b"2"])), later]


async def test_a_text_that_may_not_be_joined_is_published_as_a_message_at_once() -> None:
    tested = JoinedUnderTest()
    tested.joined.joins = False
    tested.add(b"a", b"1", TextBatch)
    assert tested.bodies == [envelopes.encode(ClientMessage(b"1"))]


async def test_a_message_that_does_not_fit_in_and_is_not_admitted_is_not_published() -> None:
    tested = JoinedUnderTest(limit=100)
    body = envelopes.encode(ClientMessage(b"x" * 100))
    tested.joined.publish(b"a", body, ClientBatch)
    tested.joined.flush()
    assert tested.asked == [(b"a", len(b"a") + len(body) + OVERHEAD)]
    assert not tested.published


async def test_where_nothing_may_be_joined_a_message_is_published_at_once_behind_what_waits() -> None:
    tested = JoinedUnderTest()
    tested.add(b"a", b"1")
    tested.joined.joins = False
    tested.add(b"a", b"2")
    tested.joined.joins = True
    tested.add(b"a", b"3")
    tested.buffer.paused = True
    tested.joined.publish_waiting()  # as the port does
    tested.add(b"a", b"4")
    assert tested.published == [(b"a", [text]) for text in (b"1", b"2", b"3", b"4")]


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


_sends = st.lists(
    st.tuples(st.sampled_from([b"a", b"b"]), st.sampled_from([Batch, ClientBatch, TextBatch]), st.booleans())
)


@settings(deadline=None)
@given(_sends)
async def test_nothing_is_lost_or_overtaken_and_no_batch_is_too_large(
    sends: list[tuple[bytes, BatchKind, bool]],
) -> None:
    tested = JoinedUnderTest()
    sent = []
    for number, (channel, kind, ends_turn) in enumerate(sends):
        if kind is TextBatch and number % 2:
            tested.add_for_user(channel, b"%d" % number)
        else:
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
