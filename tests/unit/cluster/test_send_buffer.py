from __future__ import annotations

import pytest

from crosswire.cluster.send_buffer import OVERHEAD, Budget, Overflow, SendBuffer
from crosswire.errors import BusUnavailable


class SendBufferUnderTest:
    """A buffer, the port behind it, and what was dropped."""

    def __init__(self, overflow: Overflow = "drop", limit: int = 1000) -> None:
        self.budget = Budget(limit)
        self.dropped: list[tuple[str, int]] = []
        self.buffer = SendBuffer(self.budget, overflow, lambda *dropped: self.dropped.append(dropped))
        self.published: list[tuple[bytes, ...]] = []
        self.pauses_after = 10

    def publish(self, channel: bytes, header: bytes, body: bytes) -> None:
        self.published.append((channel, header, body))
        self.buffer.paused = len(self.published) >= self.pauses_after

    def publish_plain(self, channel: bytes, body: bytes) -> None:
        self.published.append((channel, body))

    def flush(self) -> None:
        self.buffer.paused = False
        self.buffer.flush(self)


def test_messages_are_published_in_order_and_free_their_bytes() -> None:
    tested = SendBufferUnderTest()
    tested.buffer.publish(b"c", b"#", b"1")
    tested.buffer.publish_plain(b"d", b"2")
    tested.buffer.publish(b"c", b"#", b"3")
    assert tested.budget.free == 1000 - 3 * (OVERHEAD + 2)
    tested.flush()
    assert tested.published == [(b"c", b"#", b"1"), (b"d", b"2"), (b"c", b"#", b"3")]
    assert tested.budget.free == 1000


def test_a_port_that_pauses_again_gets_the_other_messages_later() -> None:
    tested = SendBufferUnderTest()
    for number in range(4):
        tested.buffer.publish(b"c", b"#", b"%d" % number)
    tested.pauses_after = 2
    tested.flush()
    assert len(tested.published) == 2
    tested.pauses_after = 10
    tested.flush()
    assert [body for _, _, body in tested.published] == [b"0", b"1", b"2", b"3"]


def test_a_message_that_does_not_fit_is_dropped_with_the_reason() -> None:
    tested = SendBufferUnderTest()
    tested.buffer.publish(b"c", b"#", b"x" * 500)
    assert not tested.buffer.admits()
    tested.buffer.paused = False
    assert not tested.buffer.admits()
    assert [reason.partition(",")[0] for reason, _ in tested.dropped] == [
        "other nodes can't be reached",
        "the bus does not keep up",
    ]


def test_a_message_that_does_not_fit_is_refused_with_the_policy_raise() -> None:
    tested = SendBufferUnderTest("raise")
    tested.buffer.publish(b"c", b"#", b"x" * 500)
    with pytest.raises(BusUnavailable, match="other nodes can't be reached"):
        tested.buffer.admits()
    assert not tested.dropped


def test_a_message_larger_than_the_limit_is_taken_if_nothing_waits() -> None:
    assert SendBufferUnderTest("raise").buffer.admits()


def test_several_messages_are_refused_together() -> None:
    tested = SendBufferUnderTest("raise")
    tested.buffer.require_room([100, 100])
    with pytest.raises(BusUnavailable):
        tested.buffer.require_room([100] * 6)
    tested.budget.copies = 3
    with pytest.raises(BusUnavailable):
        tested.buffer.require_room([100, 100])
    SendBufferUnderTest("drop").buffer.require_room([10_000])


def test_a_closed_buffer_drops_all_messages() -> None:
    tested = SendBufferUnderTest()
    tested.buffer.publish(b"c", b"#", b"1")
    tested.buffer.publish(b"c", b"#", b"2")
    tested.buffer.close()
    tested.buffer.publish(b"c", b"#", b"3")
    assert [count for _, count in tested.dropped] == [2, 1]
