from __future__ import annotations

import pytest

from crosswire.transport.picows_reasons import common_reason


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("Received CLOSE with invalid close code size: 1 8 b'\\x03'", "a Close frame with half of a close code"),
        ("Received CLOSE with invalid close code: 1005", "the close code 1005, which must not be sent"),
        ("Received CLOSE with invalid UTF-8 reason", "text that is no UTF-8"),
        (
            "Received frame with payload size exceeding max allowed size, 2001 > 2000",
            "a message of more than 2000 bytes",
        ),
        ("Received fragmented control frame", "Received fragmented control frame"),
        ("", ""),
    ],
)
def test_reasons_are_those_of_all_transports_where_they_have_some(reason: str, ours: str) -> None:
    assert common_reason(reason) == ours
