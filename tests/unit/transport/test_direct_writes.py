from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from crosswire.runtime.flusher import Flusher
from crosswire.transport.direct_writes import DirectWrites
from crosswire.transport.outbox import Outbox
from crosswire.transport.slow_readers import SlowReaders


class Peer:
    """A connection over a real socket; its writer notes what reaches it through the outbox."""

    def __init__(self, flusher: Flusher) -> None:
        self.own, self.end = socket.socketpair()
        self.own.setblocking(False)
        self.end.setblocking(False)
        self.written: list[bytes] = []
        self.waiting = self.taken = 0
        self.outbox = Outbox(self, flusher, 1_000, self, SlowReaders(30))

    def write_frames(self, data: bytes) -> None:
        self.written.append(data)

    def set_low_water_mark(self, low: int | None) -> None:
        raise AssertionError("nobody waits")

    def overflowed(self) -> None:
        raise AssertionError("little waits")

    def fell_behind(self) -> None:
        raise AssertionError("little waits")

    def received(self) -> bytes:
        """Return what has arrived past the writer."""
        with suppress(BlockingIOError):
            return self.end.recv(1000)
        return b""


class Turn:
    """The end of a turn, at which something is pushed to all peers."""

    def __init__(self, flusher: Flusher, peers: list[Peer], frames: bytes) -> None:
        self.direct, self.peers, self.frames = DirectWrites(flusher), peers, frames

    def flush(self) -> None:
        self.direct.push_all(self.frames, [peer.outbox for peer in self.peers])


@pytest.fixture
def flusher() -> Flusher:
    return Flusher()


@pytest.fixture
def peers(flusher: Flusher) -> Iterator[list[Peer]]:
    made = [Peer(flusher) for _ in range(3)]
    for peer in made:
        peer.outbox.allow_direct(peer.own.fileno())
    yield made
    for peer in made:
        peer.own.close()
        peer.end.close()


def end_turn(flusher: Flusher, *buffers: Turn | Outbox) -> None:
    flusher.filled.extend(buffers)
    flusher._end_turn()


def test_at_the_end_of_a_turn_frames_are_written_past_the_outboxes(flusher: Flusher, peers: list[Peer]) -> None:
    end_turn(flusher, Turn(flusher, peers, b"news"))
    assert [peer.received() for peer in peers] == [b"news"] * 3
    assert [peer.written for peer in peers] == [[]] * 3


async def test_before_the_end_of_a_turn_frames_are_queued(flusher: Flusher, peers: list[Peer]) -> None:
    Turn(flusher, peers, b"news").flush()
    assert [peer.received() for peer in peers] == [b""] * 3
    flusher._end_turn()
    assert [peer.received() for peer in peers] == [b"news"] * 3


async def test_what_is_queued_leaves_first(flusher: Flusher, peers: list[Peer]) -> None:
    peers[1].outbox.push(b"first ")
    flusher.filled.clear()
    end_turn(flusher, Turn(flusher, peers, b"second"), peers[1].outbox)
    assert [peer.received() for peer in peers] == [b"second", b"", b"second"]
    assert peers[1].written == [b"first second"]
    end_turn(flusher, Turn(flusher, peers, b"third"))
    assert peers[1].received() == b"third"


async def test_nothing_is_written_past_an_outbox_that_is_paused_or_sealed(flusher: Flusher, peers: list[Peer]) -> None:
    peers[0].outbox.pause()
    peers[1].outbox.seal()
    peers[1].outbox.allow_direct(peers[1].own.fileno())
    end_turn(flusher, Turn(flusher, peers, b"news"))
    assert [peer.received() for peer in peers] == [b"", b"", b"news"]
    peers[0].outbox.resume()
    assert [peer.written for peer in peers] == [[b"news"], [], []]
    end_turn(flusher, Turn(flusher, peers, b"more"))  # until the kernel is known to have taken all, the writer writes
    assert peers[0].written == [b"news", b"more"]


def test_what_the_kernel_does_not_take_goes_to_the_writer(flusher: Flusher, peers: list[Peer]) -> None:
    with suppress(BlockingIOError):
        while True:
            peers[0].own.send(bytes(65536))
    peers[1].end.close()
    much = bytes(4 * 1024 * 1024)
    end_turn(flusher, Turn(flusher, peers, much))
    assert peers[0].written == [much]
    assert peers[1].written == [much], "the writer finds out that the peer is gone"
    (rest,) = peers[2].written
    assert 0 < len(rest) < len(much), "the kernel took a part"


def test_what_waits_for_the_kernel_comes_first(flusher: Flusher, peers: list[Peer]) -> None:
    peers[0].outbox.forbid_direct()
    end_turn(flusher, Turn(flusher, peers, b"news"))
    assert peers[0].written == [b"news"]
    assert peers[0].received() == b""


async def test_an_answer_leaves_past_the_writer_and_several_together(flusher: Flusher, peers: list[Peer]) -> None:
    for number, peer in enumerate(peers):
        for each in range(number):
            peer.outbox.push(b"answer %d " % each)
    flusher._end_turn()
    assert [peer.received() for peer in peers] == [b"", b"answer 0 ", b""]
    assert peers[2].written == [b"answer 0 answer 1 "]
    assert [peer.outbox.buffered for peer in peers] == [0, 0, 0]
    assert [peer.outbox.fd for peer in peers] == [peer.own.fileno() for peer in peers]


async def test_what_the_kernel_does_not_take_of_an_answer_goes_to_the_writer(
    flusher: Flusher, peers: list[Peer]
) -> None:
    with suppress(BlockingIOError):
        while True:
            peers[0].own.send(bytes(65536))
    peers[1].end.close()
    much = bytes(4 * 1024 * 1024)
    for peer in peers:
        peer.outbox.push(much)
    flusher._end_turn()
    assert peers[0].written == [much]
    assert peers[1].written == [much], "the writer finds out that the peer is gone"
    (rest,) = peers[2].written
    assert 0 < len(rest) < len(much), "the kernel took a part"
    assert [peer.outbox.buffered for peer in peers] == [0, 0, 0]


async def test_a_full_outbox_is_empty_again_once_its_frame_was_written_past_the_writer(
    flusher: Flusher, peers: list[Peer]
) -> None:
    outbox = peers[0].outbox
    for _ in range(3):
        outbox.push(bytes(900))  # of a limit of 1,000
        flusher._end_turn()
        assert peers[0].received() == bytes(900)


async def test_the_last_frame_of_a_sealed_outbox_goes_to_the_writer(flusher: Flusher, peers: list[Peer]) -> None:
    peers[0].outbox.push(b"the end")
    peers[0].outbox.seal()
    flusher._end_turn()
    assert peers[0].written == [b"the end"]
    assert peers[0].received() == b""


async def test_an_answer_that_waits_counts_and_is_kept_when_the_kernel_has_taken_the_rest(
    flusher: Flusher, peers: list[Peer]
) -> None:
    peer = peers[0]
    peer.outbox.push(b"answer")
    assert peer.outbox.buffered == 6
    peer.outbox.allow_direct(peer.own.fileno())
    flusher._end_turn()
    assert peer.received() == b"answer"
    assert peer.outbox.buffered == 0


async def test_an_answer_that_waits_when_the_outbox_pauses_is_held_and_counted(
    flusher: Flusher, peers: list[Peer]
) -> None:
    peer = peers[0]
    peer.outbox.push(b"answer")
    peer.outbox.pause()
    flusher._end_turn()
    peer.outbox.push(b", later")
    assert (peer.received(), peer.written, peer.outbox.buffered) == (b"", [], 13)
    peer.outbox.resume()
    assert peer.written == [b"answer, later"]
    assert peer.outbox.buffered == 0


async def test_an_answer_that_waits_is_within_the_limit_of_what_follows(flusher: Flusher, peers: list[Peer]) -> None:
    peer = peers[0]
    peer.outbox.push(bytes(900))  # of a limit of 1,000
    peer.outbox.push(bytes(800))
    assert peer.written == [bytes(900)], "the busy turn has to write"
    flusher._end_turn()
    assert peer.written == [bytes(900), bytes(800)]


async def test_an_answer_that_waits_leaves_with_all_or_is_discarded(flusher: Flusher, peers: list[Peer]) -> None:
    for peer in peers[:2]:
        peer.outbox.push(b"answer")
    peers[0].outbox.write_all()
    peers[1].outbox.discard()
    assert peers[0].received() == b"answer"
    flusher._end_turn()
    assert [peer.received() for peer in peers] == [b"", b"", b""]
    assert [peer.written for peer in peers] == [[], [], []]
    assert [peer.outbox.buffered for peer in peers] == [0, 0, 0]


async def test_what_a_busy_turn_has_queued_leaves_before_what_comes_later(flusher: Flusher, peers: list[Peer]) -> None:
    flusher.schedule(Turn(flusher, peers[:1], b", fan-out"))
    for peer in peers[:2]:
        peer.outbox.push(bytes(900))  # of a limit of 1,000
        peer.outbox.push(bytes(800))
    peers[1].outbox.push(b", answer")
    flusher._end_turn()
    assert [peer.received() for peer in peers[:2]] == [b"", b""], "nothing leaves past what is queued"
    assert [b"".join(peer.written)[1700:] for peer in peers[:2]] == [b", fan-out", b", answer"]
