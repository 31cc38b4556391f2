"""A reader of a connection without a network, and what it is given to read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import cast

from picows import WSFrame

from crosswire.core.frames import Opcode
from crosswire.transport.grown_buffers import GrownBuffers
from crosswire.transport.outbox import Outbox
from crosswire.transport.picows_parser import INITIAL_ROOM, FrameParser, FrameParsers
from crosswire.transport.picows_reader import PicowsReader
from crosswire.transport.piece_reader import PieceReader
from crosswire.transport.read_rate import ReadRate
from crosswire.transport.read_turns import ReadTurns
from tests.support.aio import wait_until
from tests.support.attacks import frame
from tests.support.loop_transport import FakeTransport
from tests.unit.transport.test_outbox import OutboxUnderTest

MAX_MESSAGE = 1024 * 1024


class FakeSocket:
    """A socket that nothing is done with."""

    def fileno(self) -> int:
        return 0


class Recorder:
    """Connection that records payloads, and what else happens."""

    def __init__(self) -> None:
        self.reader: PicowsReader
        self.closes: list[bytes] = []
        self.payloads: list[bytes] = []
        self.is_lost = False
        self.refused: list[bytes] = []
        self.now = 0.0
        self.seconds = 0.0  # that a frame takes
        self.on_frame: Callable[[], None] = lambda: None
        self.own = OutboxUnderTest(limit=MAX_MESSAGE)
        self.texts: list[str] = []  # of messages that were known to be text by their headers
        self.takes_texts = True
        self.is_invalid = self.has_failed = False

    @property
    def outbox(self) -> Outbox:
        return self.own.outbox

    @property
    def receiver(self) -> Recorder:
        return self

    def text(self, text: str) -> None:
        self.texts.append(text)
        self._receive(text.encode())

    def frame(self, frame: WSFrame) -> None:
        self._receive(frame.get_payload_as_bytes())

    def _receive(self, payload: bytes) -> None:
        assert not self.is_lost
        self.payloads.append(payload)
        self.now += self.seconds
        self.on_frame()

    def close_frame(self, payload: bytes) -> None:
        self.closes.append(payload)

    def lost(self) -> None:
        self.is_lost = True

    def invalid_text(self) -> None:
        self.is_invalid = True

    def failed(self) -> None:
        self.has_failed = True

    def refuse(self, payload: bytes) -> None:
        self.refused.append(payload)
        self.reader.discard()

    def pause_writing(self) -> None:
        """Ignore a transport that is full."""

    def resume_writing(self) -> None:
        """Ignore a transport that has room."""

    def clock(self) -> float:
        return self.now


class Reading:
    """A reader with all that it needs."""

    def __init__(
        self,
        turns: ReadTurns | None = None,
        rest: bytes = b"",
        rate: ReadRate | None = None,
        parsers: FrameParsers | None = None,
    ) -> None:
        self.transport = FakeTransport(FakeSocket())
        self.connection = Recorder()
        self.turns = ReadTurns() if turns is None else turns  # an empty one is false
        self.grown = GrownBuffers()
        self.parsers = parsers or FrameParsers(MAX_MESSAGE)
        loops_transport = cast(asyncio.Transport, self.transport)
        self.reader = PicowsReader(loops_transport, self.connection, self.parsers, self.turns, self.grown, rate)
        self.connection.reader = self.reader
        self.reader.start(rest)

    def read(self, data: bytes) -> int:
        """Let the transport read once; return how many bytes it took."""
        view = self.reader.get_buffer(-1)
        size = min(len(view), len(data))
        view[:size] = data[:size]
        self.reader.buffer_updated(size)
        return size

    async def read_all(self, data: bytes) -> None:
        """Let the transport read all, whenever reading is not paused, and wait until it is handed over."""
        while data:
            data = data[self.read(data) :]
            await wait_until(lambda: self.transport.reading)

    @property
    def room(self) -> int:
        """Bytes of picows' buffer: it is empty between two frames."""
        return INITIAL_ROOM if self.parser is None else len(self.parser.get_buffer(-1))

    @property
    def pieces(self) -> PieceReader:
        """What takes care of reads that are no whole text message."""
        assert self.reader._pieces is not None
        return self.reader._pieces

    @property
    def parser(self) -> FrameParser | None:
        """The connection's own parser, if it has one."""
        return None if self.reader._pieces is None else self.reader._pieces.parser


def frames_of(payloads: Iterable[bytes]) -> bytes:
    return b"".join(frame(Opcode.BINARY, each) for each in payloads)
