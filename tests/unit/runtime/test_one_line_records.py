from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.runtime.log_records import about, get_logger
from crosswire.runtime.one_line_records import MAX_EXCEPTION, MAX_TRACEBACK, OneLineRecords

FORGED = "a\nERROR crosswire.forged\x1b[31m\u2028\u202e\x85\ud800"
SHOWN = r"a\nERROR crosswire.forged\x1b[31m\u2028\u202e\x85\ud800"
NAME = "crosswire.one_line"
FORMAT = "%(levelname)s %(name)s %(user)s %(event)s %(message)s"
Failure = Callable[[], BaseException]


class LogText(logging.StreamHandler[io.StringIO]):
    """Handler that keeps what a program's log file would have."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.setFormatter(logging.Formatter(FORMAT))

    @property
    def lines(self) -> list[str]:
        """Lines by any line break, as a reader of the file might know them."""
        return self.stream.getvalue().splitlines()


@pytest.fixture
def log_text() -> Iterator[LogText]:
    handler = LogText()
    target = logging.getLogger(NAME)
    target.addHandler(handler)
    yield handler
    target.removeHandler(handler)


def with_note() -> BaseException:
    error = ValueError("x")
    error.add_note(FORGED)
    return error


def with_cause() -> ValueError:
    error = ValueError("x")
    error.__cause__ = ValueError(FORGED)
    error.__cause__.__context__ = with_note()
    return error


def unprintable() -> BaseException:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise ValueError(FORGED)

    return Unprintable()


FAILURES: dict[str, Failure] = {
    "text": lambda: ValueError(FORGED),
    "note": with_note,
    "cause": with_cause,
    "key": lambda: KeyError(FORGED),
    "group": lambda: ExceptionGroup(FORGED, [ValueError(FORGED), ExceptionGroup("inner", [with_cause()])]),
    "syntax": lambda: SyntaxError(FORGED, (FORGED, 1, 2, FORGED)),
    "class": lambda: type(FORGED.replace("\ud800", ""), (Exception,), {})(FORGED),
    "unprintable": unprintable,
    "operating system": lambda: FileNotFoundError(2, FORGED, FORGED),
    "exit": lambda: KeyboardInterrupt(FORGED),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_no_exception_forges_a_line(failure: Failure, log_text: LogText) -> None:
    logger = get_logger(NAME)
    try:
        raise failure()
    except BaseException:
        logger.exception("a handler failed")
    logger.error("a handler failed", exc_info=failure())
    records = [line for line in log_text.lines if not line.startswith("  ")]
    assert records == [f"ERROR {NAME} None None a handler failed"] * 2
    assert not [line for line in log_text.lines if line.lstrip(" |").startswith("ERROR crosswire.forged")]
    assert any("Traceback" in line for line in log_text.lines)
    log_text.stream.getvalue().encode()


def test_messages_and_attributes_are_one_line(log_text: LogText) -> None:
    logger = get_logger(NAME)
    text = "user %s of %r: " + FORGED
    logger.error(text, FORGED, FORGED, extra={"user": FORGED} | about(event=FORGED))
    (line,) = log_text.lines
    assert line == f"ERROR {NAME} {SHOWN} {SHOWN} user {SHOWN} of '{SHOWN}': {SHOWN}"


def test_a_message_that_is_safe_keeps_its_format_and_arguments(caplog: pytest.LogCaptureFixture) -> None:
    get_logger(NAME).warning("user %r has %d rooms", "Ä 中", 3)
    (record,) = caplog.records
    assert (record.msg, record.args) == ("user %r has %d rooms", ("Ä 中", 3))


def test_long_messages_and_exceptions_are_cut(log_text: LogText) -> None:
    logger = get_logger(NAME)
    logger.error("%s", "x" * 1_000_000, extra={"user": "u" * 1_000_000})
    assert sum(map(len, log_text.lines)) < 3000
    logger.error("failed", exc_info=ValueError("y" * 1_000_000))
    assert max(map(len, log_text.lines[1:])) < MAX_EXCEPTION + 100


def test_a_long_chain_of_exceptions_is_cut(log_text: LogText) -> None:
    error: BaseException = ValueError("the first")
    for number in range(3000):
        following = ValueError(f"{number}" * 100)
        following.__context__ = error
        error = following
    get_logger(NAME).error("failed", exc_info=error)
    text = log_text.stream.getvalue()
    assert len(text) < MAX_TRACEBACK + 500
    assert "ValueError: 29992999" in text


def test_a_format_that_does_not_fit_is_left_to_logging() -> None:
    record = logging.LogRecord(NAME, logging.ERROR, __file__, 1, "%d", ("no number",), None)
    assert OneLineRecords().filter(record)
    assert (record.msg, record.args) == ("%d", ("no number",))


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_whatever_is_logged_is_a_line(user: str, text: str) -> None:
    handler, target = LogText(), logging.getLogger(NAME)
    target.addHandler(handler)
    try:
        get_logger(NAME).error("%s", text, extra={"user": user}, exc_info=ValueError(text))
    finally:
        target.removeHandler(handler)
    first, *rest = handler.lines
    assert first.startswith(f"ERROR {NAME} ")
    assert all(line.startswith("  ") for line in rest)
    assert len(rest) == 1
