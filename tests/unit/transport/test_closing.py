from __future__ import annotations

import pytest

from crosswire.core.frames import close_payload
from crosswire.errors import ProtocolFailure
from crosswire.transport.closing import read_close
from crosswire.types import Close, CloseCode


@pytest.mark.parametrize(
    ("payload", "close"),
    [
        (b"", Close(CloseCode.NO_STATUS)),
        (close_payload(1000), Close(1000)),
        (close_payload(4999, "bye €"), Close(4999, "bye €")),
    ],
)
def test_a_close_frame_is_read(payload: bytes, close: Close) -> None:
    assert read_close(payload) == close


@pytest.mark.parametrize(
    "payload", [b"\x03", close_payload(0), close_payload(999), close_payload(1006), close_payload(5000)]
)
def test_a_close_frame_that_must_not_be_sent_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolFailure) as caught:
        read_close(payload)
    assert caught.value.close_code == CloseCode.PROTOCOL_ERROR


def test_a_reason_without_utf8_is_refused() -> None:
    with pytest.raises(ProtocolFailure) as caught:
        read_close(close_payload(1000) + b"\xff")
    assert caught.value.close_code == CloseCode.INVALID_TEXT
