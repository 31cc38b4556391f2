from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.log_records import LogRecord, pack_record, pack_sender, unpack_record, unpack_sent
from crosswire.errors import InvalidMessage

U64 = st.integers(0, 2**64 - 1)


@given(
    epoch=st.from_regex(r"[0-9A-Za-z]{8}", fullmatch=True),
    offset=U64,
    time=U64,
    origin=st.binary(min_size=8, max_size=8),
    number=U64,
    body=st.binary(),
)
def test_a_record_is_read_as_it_was_written(
    epoch: str, offset: int, time: int, origin: bytes, number: int, body: bytes
) -> None:
    sent = pack_sender(origin, number) + body
    record = LogRecord(epoch, offset, time, origin, number, body)
    assert unpack_record(pack_record(epoch, offset, time, sent)) == record
    assert unpack_sent(epoch, offset, time, sent) == record


GOOD = pack_record("k3xQ9a2f", 1, 2, pack_sender(b"12345678", 3) + b"body")


@given(length=st.integers(0, len(GOOD) - 5))
def test_an_incomplete_record_is_refused(length: int) -> None:
    with pytest.raises(InvalidMessage):
        unpack_record(GOOD[:length])


def test_a_record_of_another_version_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="version 4"):
        unpack_record(b"\x04" + GOOD[1:])


@pytest.mark.parametrize("epoch", [b'k3xQ9"2f', b"k3xQ 92f", b"k3xQ\xff92f", b"k3xQ\x0092f"])
def test_an_epoch_that_would_break_the_text_for_clients_is_refused(epoch: bytes) -> None:
    with pytest.raises(InvalidMessage):
        unpack_record(GOOD[:1] + epoch + GOOD[9:])
