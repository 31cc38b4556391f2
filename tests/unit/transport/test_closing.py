from __future__ import annotations

import asyncio
from typing import cast

import pytest

from crosswire.core.frames import Opcode, close_payload, encode_frame
from crosswire.errors import ProtocolFailure
from crosswire.transport.closing import ClosingHandshake, read_close
from crosswire.transport.outbox import Outbox
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


class FakeTransport:
    """Transport that closes at once, or for which bytes wait."""

    def __init__(self, *, is_empty: bool) -> None:
        self.is_empty = is_empty
        self.calls: list[str] = []
        self.is_aborted = asyncio.Event()

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def hang_up(self) -> bool:
        self.calls.append("hang up")
        return self.is_empty

    def half_close(self) -> None:
        self.calls.append("half close")

    def abort(self) -> None:
        self.is_aborted.set()


class FakeOutbox:
    """Outbox that keeps the frames in the order in which they come."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def push(self, frame: bytes) -> None:
        self.frames.append(frame)

    def seal(self) -> None:
        self.frames.append(b"sealed")

    def write_all(self) -> None:
        self.frames.append(b"written")


async def test_a_close_is_answered_and_ends_in_time_if_the_peer_does_not_take_what_waits() -> None:
    transport, outbox = FakeTransport(is_empty=False), FakeOutbox()
    closing = ClosingHandshake(Close(1000), cast(Outbox, outbox), transport)
    closing.answer(1000, 0.001)
    assert outbox.frames == [encode_frame(Opcode.CLOSE, close_payload(1000)), b"sealed", b"written"]
    assert transport.calls == ["resume", "hang up"]
    async with asyncio.timeout(20):
        await transport.is_aborted.wait()


async def test_a_close_whose_answer_has_left_needs_no_timer() -> None:
    transport = FakeTransport(is_empty=True)
    closing = ClosingHandshake(Close(1000), cast(Outbox, FakeOutbox()), transport)
    closing.answer(1000, 0.0)
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, later.set)
    await later.wait()
    assert not transport.is_aborted.is_set()
