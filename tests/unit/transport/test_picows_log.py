from __future__ import annotations

import logging

import pytest

from crosswire.transport.picows_log import PICOWS_LOG


def test_records_of_picows_are_demoted_to_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "crosswire.transport"):
        PICOWS_LOG.info("connected %d", 1)
        PICOWS_LOG.error("a bad frame")
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.DEBUG, "connected 1"),
        (logging.DEBUG, "a bad frame"),
    ]


def test_no_records_are_made_where_debug_is_off(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "crosswire.transport"):
        PICOWS_LOG.error("a bad frame")
    assert not caplog.records


def test_exceptions_keep_their_level(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "crosswire.transport"):
        try:
            raise RuntimeError("a bug")
        except RuntimeError:
            PICOWS_LOG.exception("failed")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
