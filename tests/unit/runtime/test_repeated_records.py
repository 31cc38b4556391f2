from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crosswire.runtime.log_records import get_logger
from crosswire.runtime.repeated_records import RepeatedRecord

NAME = "crosswire.test.repeated"
ABOUT: dict[str, Any] = {"user": "13", "socket": "s1", "event": None, "node": "a"}
OF_THE_MOMENT = {"created", "msecs", "relativeCreated", "args", "message", "lineno"}


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "crosswire")


@pytest.fixture
def factory() -> Iterator[list[logging.LogRecord]]:
    """Let the program have a record factory of its own; it fills the list."""
    made: list[logging.LogRecord] = []

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made.append(logging.LogRecord(*args, **kwargs))
        return made[-1]

    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(make)
    yield made
    logging.setLogRecordFactory(before)


def repeated(text: str = "%s of %r") -> RepeatedRecord:
    return RepeatedRecord(get_logger(NAME), logging.INFO, text)


def lasting(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in OF_THE_MOMENT}


def test_the_later_ones_are_like_those_that_logging_makes(caplog: pytest.LogCaptureFixture) -> None:
    record = repeated()
    for number in range(3):
        record.log((number, "x"), dict(ABOUT))
    get_logger(NAME).info("%s of %r", 3, "x", extra=dict(ABOUT))
    assert [each.getMessage() for each in caplog.records] == [f"{number} of 'x'" for number in range(4)]
    first, *others = map(lasting, caplog.records)
    assert others == [first] * 3
    assert (first["filename"], first["user"]) == (Path(__file__).name, "13")


def test_each_has_its_own_time(caplog: pytest.LogCaptureFixture) -> None:
    record = repeated()
    for number in range(3):
        record.log((number, "x"), dict(ABOUT))
    get_logger(NAME).info("x")
    times = [each.created for each in caplog.records]
    assert times == sorted(times)
    for each in caplog.records:
        assert each.msecs == pytest.approx(each.created % 1 * 1000, abs=1)
        assert each.relativeCreated - caplog.records[0].relativeCreated == pytest.approx(
            (each.created - times[0]) * 1000, abs=0.1
        )


def test_no_attribute_is_left_for_the_next_one(caplog: pytest.LogCaptureFixture) -> None:
    record = repeated()
    record.log((1, "x"), {**ABOUT, "code": 1000})
    record.log((2, "x"), dict(ABOUT))
    assert ["code" in each.__dict__ for each in caplog.records] == [True, False]


def test_text_is_escaped(caplog: pytest.LogCaptureFixture) -> None:
    record = repeated("%s of %s")
    for _ in range(2):
        record.log((1, "a\nb"), {**ABOUT, "user": "a\nb"})
    assert {(each.getMessage(), each.__dict__["user"]) for each in caplog.records} == {(r"1 of a\nb", r"a\nb")}


def test_another_thread_is_named(caplog: pytest.LogCaptureFixture) -> None:
    record = repeated()
    record.log((1, "x"), dict(ABOUT))
    other = threading.Thread(target=record.log, args=((2, "x"), dict(ABOUT)), name="other")
    other.start()
    other.join()
    assert [each.threadName for each in caplog.records] == [threading.current_thread().name, "other"]


def test_a_record_factory_makes_all_of_them(caplog: pytest.LogCaptureFixture, factory: list[logging.LogRecord]) -> None:
    record = repeated()
    for number in range(2):
        record.log((number, "x"), dict(ABOUT))
    assert factory == caplog.records
    assert len(factory) == 2


def test_what_a_program_adds_to_records_is_found_out_for_each(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, traces = logging.Logger.makeRecord, iter("abc")

    def make_with_trace(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = make(*args, **kwargs)
        made.__dict__["trace"] = next(traces)
        return made

    monkeypatch.setattr(logging.Logger, "makeRecord", make_with_trace)
    record = repeated()
    for number in range(3):
        record.log((number, "x"), dict(ABOUT))
    assert [each.__dict__["trace"] for each in caplog.records] == ["a", "b", "c"]


def test_it_is_known_whether_anybody_reads_them(caplog: pytest.LogCaptureFixture) -> None:
    record = repeated()
    assert record.is_enabled()
    caplog.set_level(logging.WARNING, "crosswire")
    assert not record.is_enabled()
