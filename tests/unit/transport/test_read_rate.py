from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.frames import Opcode
from crosswire.core.limits import Limits
from crosswire.runtime import environment
from crosswire.transport.read_rate import ReadRate
from tests.support.attacks import frame

SIZES = st.lists(st.one_of(st.integers(0, 200), st.sampled_from([125, 126, 65535, 65536])), min_size=1, max_size=20)


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(environment, "monotonic", lambda: self.now)


clock = pytest.fixture(lambda monkeypatch: Clock(monkeypatch), name="clock")


def data_of(sizes: list[int]) -> memoryview:
    return memoryview(b"".join(frame(Opcode.TEXT, bytes(size)) for size in sizes))


def test_without_a_limit_there_is_no_rate() -> None:
    assert ReadRate.of(Limits(), lambda limit: None) is None


def test_frames_are_admitted_whole_as_often_as_the_rate_allows(clock: Clock) -> None:
    told = list[str]()
    rate = ReadRate(Limits(message_rate=10, burst=3), told.append)
    data = data_of([5] * 10)
    assert rate.admit(data) == 3 * 11
    assert rate.admit(data[33:]) == 0
    assert rate.wait() == pytest.approx(0.1)
    assert told == ["message_rate"]
    clock.now += 0.25
    assert rate.admit(data[33:]) == 2 * 11


def test_a_second_s_worth_may_come_at_once_by_default(clock: Clock) -> None:
    rate = ReadRate(Limits(message_rate=7), lambda limit: None)
    assert rate.admit(data_of([0] * 20)) == 7 * 6


def test_bytes_are_admitted_as_the_rate_allows(clock: Clock) -> None:
    told = list[str]()
    rate = ReadRate(Limits(byte_rate=1000), told.append)
    data = data_of([10_000])
    assert rate.admit(data) == 1000
    assert rate.admit(data[1000:]) == 0
    assert rate.wait() == pytest.approx(0.01), "a timer for each byte would be work"
    assert told == ["byte_rate"]
    clock.now += 0.5
    assert rate.admit(data[1000:]) == 500


def test_a_message_that_came_whole_is_followed_by_a_wait(clock: Clock) -> None:
    told = list[str]()
    rate = ReadRate(Limits(byte_rate=1000, message_rate=100), told.append)
    assert rate.admit_message(400) == 0
    assert rate.admit_message(5600) == pytest.approx(5, rel=0.01)
    assert told == ["byte_rate"]


@given(SIZES, st.integers(1, 5), st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_no_more_frames_are_admitted_however_they_are_cut(sizes: list[int], burst: int, cuts: list[int]) -> None:
    rate = ReadRate(Limits(message_rate=0.000001, burst=burst), lambda limit: None)
    data, admitted, cut = data_of(sizes), 0, 0
    while admitted < len(data):
        part = data[admitted : admitted + cuts[cut % len(cuts)]]
        cut += 1
        count = rate.admit(part)
        if not count:
            break
        admitted += count
    whole = len(data_of(sizes[:burst]))
    assert whole <= admitted <= whole + (13 if len(sizes) > burst else 0), "at most a part of the next header"
