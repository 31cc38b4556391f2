from __future__ import annotations

import asyncio
import datetime
import logging
import re
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.runtime.throttled_warnings import MAX_NAMES, PERIOD, ThrottledWarnings, reason
from tests.support.aio import wait_until


class _RecordingLogger(logging.Logger):
    """A logger that keeps its lines."""

    def __init__(self) -> None:
        super().__init__("lines")
        self.lines: list[str] = []

    def handle(self, record: logging.LogRecord) -> None:
        assert record.levelno == logging.WARNING
        self.lines.append(record.getMessage())


class _FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_line_a_second_of_a_kind_is_logged_with_the_number_of_others() -> None:
    logger, clock = _RecordingLogger(), _FakeClock()
    warnings = ThrottledWarnings(logger, clock)
    for number in range(5):
        warnings.warn("a", "a %d", number)
        warnings.warn("b", "b %d", number)
    clock.now = PERIOD
    warnings.warn("a", "a %d", 5)
    assert logger.lines == ["a 0", "b 0", "a 5 (4 more of these were not logged)"]


async def test_omitted_lines_are_counted_even_if_none_follows() -> None:
    logger = _RecordingLogger()
    warnings = ThrottledWarnings(logger)

    for number in range(5):
        warnings.warn("a", "%d was lost", number)
    assert logger.lines == ["0 was lost"]
    await wait_until(lambda: len(logger.lines) == 2)
    assert logger.lines[1] == "4 was lost (3 more of these were not logged)"


async def test_a_single_omitted_line_is_logged_as_it_is() -> None:
    logger = _RecordingLogger()
    warnings = ThrottledWarnings(logger)

    warnings.warn("a", "first")
    warnings.warn("a", "second")
    await wait_until(lambda: len(logger.lines) == 2)
    assert logger.lines == ["first", "second"]


def test_lines_kept_back_by_a_loop_that_ended_are_logged() -> None:
    logger, clock = _RecordingLogger(), _FakeClock()
    warnings = ThrottledWarnings(logger, clock)

    async def flood() -> None:
        for _ in range(3):
            warnings.warn("a", "lost")

    asyncio.run(flood())
    clock.now = 10 * PERIOD
    asyncio.run(flood())
    assert logger.lines == ["lost", "lost (2 more of these were not logged)"]


@given(st.lists(st.floats(0, 3), max_size=60))
def test_every_line_is_logged_or_counted(pauses: list[float]) -> None:
    logger, clock = _RecordingLogger(), _FakeClock()
    warnings = ThrottledWarnings(logger, clock)
    for pause in pauses:
        clock.now += pause
        warnings.warn("a", "lost")
    clock.now += 100
    warnings.warn("a", "lost")
    counted = sum(int(number) for line in logger.lines for number in re.findall(r"\((\d+) more", line))
    assert len(logger.lines) + counted == len(pauses) + 1


@pytest.mark.parametrize("name", ["x\n2030-01-01 CRITICAL all is lost", "x\r", "\x1b[2J", "\u2028"])
def test_a_name_with_line_breaks_forges_no_log_line(name: str) -> None:
    logger = _RecordingLogger()
    ThrottledWarnings(logger).warn("a", "an event %r was lost", name)
    assert logger.lines[0].isprintable()


def test_each_name_is_logged_once_up_to_a_limit() -> None:
    logger, clock = _RecordingLogger(), _FakeClock()
    warnings = ThrottledWarnings(logger, clock)
    for _ in range(2):
        for number in range(2 * MAX_NAMES):
            clock.now += PERIOD
            warnings.warn_once("there is no handler", f"name {number}", "no handler for %r")
    assert logger.lines[:2] == ["no handler for 'name 0'", "no handler for 'name 1'"]
    assert len(logger.lines) == MAX_NAMES + 1
    assert "no more will be" in logger.lines[-1]


@pytest.mark.parametrize(
    ("annotation", "data"),
    [
        (Literal["a"], "s3cret"),
        (Literal[1], 51423),
        (Literal["a"], "s3cret - at `$.x`"),
        (Annotated[str, msgspec.Meta(max_length=1)], "s3cret"),
        (int, "s3cret"),
        (datetime.datetime, "s3cret"),
        (dict[str, int], {"s3cret": "s3cret"}),
        (list[Literal["a"]], ["s3cret\ns3cret"]),
    ],
)
def test_the_reason_for_which_data_was_refused_has_no_data_in_it(annotation: Any, data: Any) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert(data, annotation)
    for secret in ("s3cret", "51423"):
        assert secret not in reason(raised.value)
    assert reason(raised.value).isprintable()


def test_unknown_fields_and_long_texts_are_not_shown() -> None:
    class Strict(msgspec.Struct, forbid_unknown_fields=True):
        a: int = 0

    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.json.decode('{"s3cret": 1}', type=Strict)
    assert "s3cret" not in reason(raised.value)
    assert len(reason(ValueError("x" * 10_000))) < 300
    assert reason(ValueError("a\nb")).isprintable()


def test_losses_of_many_kinds_cost_a_few_lines_a_second_and_are_counted() -> None:
    logger, clock = _RecordingLogger(), _FakeClock()
    warnings = ThrottledWarnings(logger, clock)
    for number in range(100):
        warnings.warn(f"{number % 20}", "%d", number % 20)
    assert logger.lines == ["0", "1", "2", "3", "4"]
    clock.now = PERIOD
    warnings.warn("7", "%d", 7)
    warnings.warn("0", "%d", 0)
    assert logger.lines[5:] == ["7 (5 more of these were not logged)", "0 (4 more of these were not logged)"]


async def test_lines_that_gave_way_to_other_kinds_are_logged_later() -> None:
    logger = _RecordingLogger()
    warnings = ThrottledWarnings(logger)
    for number in range(14):
        warnings.warn(f"{number % 7}", "%d", number % 7)
    assert len(logger.lines) == 5
    await wait_until(lambda: len(logger.lines) == 12)
    assert sorted(logger.lines[5:]) == [
        "0",
        "1",
        "2",
        "3",
        "4",
        *(f"{each} (1 more of these were not logged)" for each in (5, 6)),
    ]


def test_names_cost_a_few_lines_a_second() -> None:
    logger, clock = _RecordingLogger(), _FakeClock()
    warnings = ThrottledWarnings(logger, clock)
    for second in range(3):
        clock.now = second * PERIOD
        for number in range(100):
            warnings.warn_once("there is none", f"{number}", "%s")
    assert logger.lines == [f"{number}" for number in range(15)]
