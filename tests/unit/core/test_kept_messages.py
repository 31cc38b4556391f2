from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.kept_messages import MAX_SLICES, KeptMessages
from tests.support.kept import kept


@given(
    times=st.lists(st.integers(0, 20_000)),
    size=st.integers(1, 8),
    ttl=st.integers(1, 10),
    start=st.integers(0, 5),
    now=st.integers(0, 30_000),
)
def test_the_last_messages_are_there(times: list[int], size: int, ttl: int, start: int, now: int) -> None:
    messages = KeptMessages(size, ttl)
    messages.begin_after(start)
    offset = start
    for offset, time in enumerate(sorted(times), start + 1):
        messages.add(kept(offset, time=time))
    messages.drop_expired(now)
    young = [
        start + 1 + i for i, time in enumerate(sorted(times)) if time >= max(now, max(times, default=0)) - ttl * 1000
    ]
    there = young[-size:]
    assert messages.last == offset
    assert [each.offset for each in messages.after(offset - len(there)).messages] == there
    for each in range(start, offset + 1):
        assert messages.reaches(each) is (each >= offset - len(there))


def test_the_reason_why_messages_are_gone_is_known() -> None:
    messages = KeptMessages(2, 10)
    messages.begin_after(3, expired=True)
    assert messages.is_expired(2)
    assert not messages.is_expired(3)
    for offset in range(4, 9):
        messages.add(kept(offset, time=offset * 1_000))
    assert not messages.reaches(5)
    assert not messages.is_expired(5)
    messages.drop_expired(17_500)
    assert messages.is_expired(6)
    assert messages.reaches(7)
    messages.begin_after(20)
    assert not messages.is_expired(6)


def test_the_newest_messages_are_limited_by_number_and_bytes() -> None:
    messages = KeptMessages(10, 10)
    for offset in range(1, 6):
        messages.add(kept(offset, size=offset))
    assert [each.offset for each in messages.newest(3, 100).messages] == [3, 4, 5]
    assert messages.newest(3, 100).size == 12
    assert [each.offset for each in messages.newest(3, 11).messages] == [4, 5]
    assert messages.newest(0, 100).messages == messages.newest(3, 4).messages == ()
    assert len(messages.newest(99, 100).messages) == 5


def test_the_time_of_a_message_is_known_while_it_is_there() -> None:
    messages = KeptMessages(2, 10)
    for offset in range(1, 5):
        messages.add(kept(offset, time=offset))
    assert [messages.time_of(offset) for offset in range(1, 6)] == [None, None, 3, 4, None]


def test_few_slices_are_remembered() -> None:
    messages = KeptMessages(100, 10)
    for offset in range(1, 101):
        messages.add(kept(offset))
    first = messages.after(1)
    for offset in range(2, MAX_SLICES + 1):
        messages.after(offset)
    assert messages.after(1) is first
    messages.after(MAX_SLICES + 1)
    assert messages.after(1) == first
    assert messages.after(1) is not first


def test_another_size_keeps_the_last_messages() -> None:
    messages = KeptMessages(5, 10)
    for offset in range(1, 6):
        messages.add(kept(offset))
    messages.resize(2, 10)
    assert messages.size == 2
    assert [each.offset for each in messages.after(3).messages] == [4, 5]
    assert not messages.reaches(2)
