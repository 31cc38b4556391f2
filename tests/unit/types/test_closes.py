"""Codes with which connections are closed."""

from __future__ import annotations

from crosswire.types import FINAL_CLOSE_CODES, Close, CloseCode


def test_a_close_without_a_reason_has_an_empty_one() -> None:
    assert Close(4011) == (4011, "")


def test_codes_after_which_clients_stay_away() -> None:
    assert {int(code) for code in FINAL_CLOSE_CODES} == {1008, 4001, 4010, 4011, 4012}
    assert CloseCode.GOING_AWAY not in FINAL_CLOSE_CODES
