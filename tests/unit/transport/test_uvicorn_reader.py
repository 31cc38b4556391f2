from __future__ import annotations

import asyncio

import pytest

from crosswire.runtime import environment
from crosswire.transport.uvicorn_reader import FIRST_PIECE, MAX_PIECE, MIN_PIECE, UvicornReader


class Protocol(asyncio.Protocol):
    """Protocol that records what it is given, and takes its time for each byte."""

    def __init__(self) -> None:
        self.received = b""
        self.calls = list[str]()
        self.now = self.seconds = 0.0

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.now += len(data) * self.seconds

    def eof_received(self) -> None:
        self.calls.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append(f"lost {exc}")

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")


def read(reader: UvicornReader, data: bytes) -> int:
    """Read once; return how many bytes fitted."""
    buffer = reader.get_buffer(-1)
    size = min(len(buffer), len(data))
    buffer[:size] = data[:size]
    reader.buffer_updated(size)
    return size


async def test_a_turn_has_one_piece_and_then_a_byte_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = Protocol()
    monkeypatch.setattr(environment, "perf_counter", lambda: protocol.now)
    reader, data = UvicornReader(protocol), bytes(range(256)) * 256
    sizes = []
    left = data
    for _ in range(5):
        sizes.append(read(reader, left))
        left = left[sizes[-1] :]
        assert read(reader, left) == 1
        left = left[1:]
        await asyncio.sleep(0)
    assert sizes == [FIRST_PIECE, 2 * FIRST_PIECE, 4 * FIRST_PIECE, MAX_PIECE, MAX_PIECE]
    assert protocol.received == data[: sum(sizes) + 5]


async def test_the_longer_it_takes_the_smaller_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = Protocol()
    protocol.seconds = 0.0001
    monkeypatch.setattr(environment, "perf_counter", lambda: protocol.now)
    reader = UvicornReader(protocol)
    for _ in range(10):
        read(reader, bytes(100_000))
        await asyncio.sleep(0)
    assert len(reader.get_buffer(-1)) == MIN_PIECE


async def test_small_reads_follow_each_other_in_a_turn() -> None:
    protocol = Protocol()
    reader = UvicornReader(protocol)
    for _ in range(100):
        assert read(reader, b"small") == 5
    assert protocol.received == b"small" * 100


async def test_the_rest_is_passed_on() -> None:
    protocol = Protocol()
    reader = UvicornReader(protocol)
    assert not reader.eof_received()
    reader.pause_writing()
    reader.resume_writing()
    reader.connection_lost(None)
    assert protocol.calls == ["eof", "pause", "resume", "lost None"]
