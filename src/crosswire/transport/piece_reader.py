"""Hands picows so much of what is read at once that no turn of the event loop is long."""

from __future__ import annotations

import asyncio
from typing import Protocol

from crosswire.core.frames import frame_size
from crosswire.runtime import environment
from crosswire.transport.grown_buffers import GrownBuffers
from crosswire.transport.picows_parser import INITIAL_ROOM, FrameParser, FrameParsers, FrameReceiver
from crosswire.transport.read_rate import ReadRate
from crosswire.transport.read_turns import QUANTUM, ReadTurns

FAST_READ = 256
"""Bytes of a read that is handed over whole: so few can't be much work."""
MIN_PIECE = 64
"""Bytes of the smallest piece of a larger read, if the messages take long."""
FIRST_PIECE = 256
"""Bytes of the first piece, when nothing is known about the messages."""
MAX_PIECE = 1024
"""Bytes of the largest piece of small frames."""
KEPT_BUFFER = 16 * 1024
"""Bytes of picows' buffer that a connection may keep when it does not need them."""
_RESERVE = 257
"""Bytes that must be left free for picows' buffer not to grow: at least so many, and a tenth of it."""
LONGEST_HEADER = 14
"""Bytes of the longest header of a frame, with its mask (RFC 6455, section 5.2)."""
_NOTHING = memoryview(b"")


class PieceReceiver(FrameReceiver, Protocol):
    """Connection whose reads are handed over in pieces."""

    def lost(self) -> None:
        """Note that the transport is gone; called once."""


class PieceReader:
    """Reads of one connection that are more than one small message, or a part of one, and what of them waits.

    picows handles all frames of a read in one go, and doubles its buffer for the next. So the event loop reads into
    picows' buffer only as long as little arrives. Of more, picows is given pieces, and what is left after a while waits
    for the connection's turn, see :class:`ReadTurns`. Meanwhile nothing more is read, and the kernel holds the peer
    back. The rest of a large frame is one piece, as it is no work. Only such a frame lets picows' buffer grow, and
    :meth:`shrink` drops a parser whose buffer has grown.

    It takes a parser for a part of a frame, and gives it back between two frames.

    Args:
        transport: the event loop's.
        connection: gets what is read.
        parsers: of all connections.
        turns: of all connections.
        grown_buffers: of all connections.
        rate: of the messages and bytes that are read, or None if there is no limit.

    Attributes:
        is_direct: whether the event loop reads into picows' buffer, rather than the one that all connections share.
        is_paused: whether nothing is read, and nothing handed over, as the connection wants it.
        parser: the connection's, while a part of a frame is in it, or its buffer has grown.
        piece: bytes of small frames that are handed over in one go.
    """

    __slots__ = (
        "_admitted",
        "_buffer",
        "_connection",
        "_grown_buffers",
        "_has_turns",
        "_is_discarding",
        "_is_lost",
        "_missing",
        "_parsers",
        "_rate",
        "_reserve",
        "_rest",
        "_room",
        "_timer",
        "_transport",
        "_turns",
        "_view",
        "is_direct",
        "is_paused",
        "parser",
        "piece",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        connection: PieceReceiver,
        parsers: FrameParsers,
        turns: ReadTurns,
        grown_buffers: GrownBuffers,
        rate: ReadRate | None = None,
    ) -> None:
        self._transport: asyncio.Transport | None = transport
        self._connection = connection
        self._parsers = parsers
        self._turns = turns
        self._grown_buffers = grown_buffers
        self._buffer = turns.buffer
        self.parser: FrameParser | None = None
        self._room = INITIAL_ROOM  # bytes of its buffer, filled or not: picows does not tell
        self._reserve = _RESERVE  # bytes that a read must leave free there for it not to grow
        self.is_direct = rate is None
        self._view = _NOTHING  # of its buffer, from get_buffer to buffer_updated
        self.piece = FIRST_PIECE
        self._missing = 0  # bytes that the frame which is arriving still lacks, if that is known
        self._rest = _NOTHING  # what has been read and not been handed over
        self._has_turns = False
        self._rate = rate
        self._admitted = 0  # bytes that the rate has let through, and that are yet to be handed over
        self._timer: asyncio.TimerHandle | None = None  # while the connection is over its rate
        self.is_paused = False
        self._is_discarding = False
        self._is_lost = False  # whether the transport has ended while something is left

    # What the reader of the connection calls

    def get_buffer(self) -> memoryview:
        """Return where to read into."""
        if not self.is_direct:
            return self._buffer
        if self.parser is None:
            return self._parsers.prepare().view
        self._view = self.parser.get_buffer(-1)
        return self._view

    def buffer_updated(self, size: int) -> None:
        """Hand over what has been read into that buffer."""
        if self.is_direct:
            self._receive_direct(size)
        else:
            self._receive(self._buffer[:size])
        self._give_back()

    def receive(self, data: memoryview) -> None:
        """Hand over what has been read elsewhere."""
        self._receive(data)
        self._give_back()

    def adapt(self, seconds: float) -> None:
        """Choose the size of the pieces by the time that one took."""
        if seconds > QUANTUM:
            self.piece = max(self.piece // 2, MIN_PIECE)
        elif seconds < QUANTUM / 4 and self.piece < MAX_PIECE:
            self.piece *= 2

    def keep_shared(self) -> None:
        """Take the shared parser, as a part of a frame is in it, or it is of no use any more."""
        self.parser = self._parsers.take_shared(self._connection)
        self._give_back()

    def connection_lost(self) -> None:
        """Pass the end of the connection on, behind what arrived before."""
        self._grown_buffers.discard(self)
        self._rate = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._rest:
            self.resume()
            self._is_lost = True
        else:
            self._pass_on_loss()

    @property
    def unparsed(self) -> int:
        """Number that changes with every part of a frame that arrives, or has its turn."""
        return self._begun + len(self._rest)

    @property
    def is_reading(self) -> bool:
        """Whether the transport reads, and so notices the end of the connection."""
        return not self.is_paused and not self._rest

    @property
    def is_held_back(self) -> bool:
        """Whether something that has arrived is not handed over yet, as the connection is over its rate."""
        return self._timer is not None

    def pause(self) -> None:
        """Read nothing more, and hand nothing over, until :meth:`resume`."""
        if not self._is_lost:
            self.is_paused = True
            self._settle()

    def resume(self) -> None:
        """Read again, and hand over what has been read in a later turn of the event loop."""
        self.is_paused = False
        if self._has_work() and not self._has_turns:
            self._has_turns = True
            self._turns.add(self)
        self._settle()

    def discard(self) -> None:
        """Discard what has been read, and what is read from now on."""
        self._is_discarding = True
        self.is_direct = False
        self._rest = _NOTHING
        self.is_paused = False
        self._settle()

    def shrink(self) -> bool:
        """Drop a parser whose buffer has grown, if it is between two frames; return whether that is done."""
        if not self._is_discarding:
            is_busy = self._rest and not self.is_paused  # what waits while reading is paused might wait for long
            if is_busy or self._begun:
                return False
            self._drop_parser()
            self.is_direct = self._may_be_direct()
        return True

    # HeldReader

    def serve(self, deadline: float) -> bool:
        """Hand over what waits until ``deadline``; return whether something is left for another turn."""
        if self._has_work():
            taken = self._hand_over(self._rest, deadline)
            self._rest = self._rest[taken:]
            self._give_back()
            if self._has_work():
                return True
        self._has_turns = False
        if self._is_lost:
            self._pass_on_loss()
        else:
            self._settle()
        return False

    def fail(self) -> None:
        """Drop the connection, as serving it has failed."""
        self._has_turns = False
        self.discard()
        if self._transport is not None:
            self._transport.abort()
        if self._is_lost:  # the transport tells its end only once
            self._pass_on_loss()

    # The parser

    def _own_parser(self) -> FrameParser:
        parser = self.parser
        if parser is None:
            parser = self.parser = self._parsers.take(self._connection)
        return parser

    def _give_back(self) -> None:
        """Give the parser back, unless a part of a frame is in it, or its buffer has grown."""
        if self.parser is None:
            return
        if self._is_discarding:  # there might be a part of a frame in it, or it has seen a Close
            self._drop_parser()
        elif self._room == INITIAL_ROOM and not self._begun:
            parser, self.parser = self.parser, None
            self._parsers.give_back(parser)

    def _drop_parser(self) -> None:
        self._room, self._reserve = INITIAL_ROOM, _RESERVE
        if self.parser is not None:
            self.parser.end()
            self.parser = None

    @property
    def _begun(self) -> int:
        """Bytes of a part of a frame that are in the parser."""
        return 0 if self.parser is None else self._room - len(self.parser.get_buffer(-1))

    # Pieces

    def _receive_direct(self, size: int) -> None:
        """Hand over what is in picows' buffer, unless it is more than one piece, or lets the buffer grow in vain."""
        parser = self.parser
        if parser is None:
            parser = self.parser = self._parsers.take_shared(self._connection)
            self._view = parser.view
        view = self._view
        begun = self._room - len(view)
        if size <= FAST_READ and len(view) - size >= self._reserve:
            parser.buffer_updated(size)
            return
        if size <= self.piece and len(view) - size >= self._reserve:
            began = environment.perf_counter()
            parser.buffer_updated(size)
            self.adapt(environment.perf_counter() - began)
        elif not begun and size <= frame_size(view[:LONGEST_HEADER]):
            self._missing = frame_size(view[:LONGEST_HEADER]) - size
            self._grow(size)
            parser.buffer_updated(size)
            self.is_direct = self._may_be_direct()
        else:
            self.is_direct = False
            self._receive(memoryview(bytes(view[:size])))

    def _receive(self, data: memoryview) -> None:
        """Hand over pieces of what has arrived until the time is up, and keep what is left."""
        if self._is_discarding:
            return
        assert not self._rest, "nothing is read while something waits"
        turns, taken = self._turns, 0
        if not (self.is_paused or turns.is_over):
            began = environment.perf_counter()
            taken = self._hand_over(data, began + QUANTUM)
            turns.count(began)
        if self._is_discarding:
            return
        if taken == len(data):
            self.is_direct = taken <= MAX_PIECE and self._may_be_direct()
            return
        self.is_direct = False
        self._rest = memoryview(bytes(data[taken:]))
        if self.is_paused:
            self._settle()
        else:
            self.resume()

    def _hand_over(self, data: memoryview, deadline: float) -> int:
        """Hand over pieces until ``deadline``, but at least one; return the number of bytes."""
        start, now = 0, environment.perf_counter()
        while True:
            is_large = self._missing > self.piece
            size = self._missing if is_large else self.piece
            if self._rate is not None:
                size = min(size, self._admit(self._rate, data[start:]))
                if not size:
                    return start
            fed = self._feed(data[start : start + size])
            start += fed
            if self._is_discarding:
                return len(data)
            self._admitted = max(self._admitted - fed, 0)
            self._note_missing(data[:start])
            began, now = now, environment.perf_counter()
            if not is_large:
                self.adapt(now - began)
            if start == len(data) or now >= deadline or self.is_paused:
                return start

    def _admit(self, rate: ReadRate, data: memoryview) -> int:
        """Return how many bytes may be handed over now; if none, wait until there are."""
        self._admitted = self._admitted or rate.admit(data)
        if not self._admitted:
            self._timer = asyncio.get_running_loop().call_later(rate.wait(), self._waited)
        return self._admitted

    def _waited(self) -> None:
        self._timer = None
        if not self.is_paused:
            self.resume()

    def _feed(self, piece: memoryview) -> int:
        """Copy as much of a piece as there is room for into picows' buffer, and let picows handle it."""
        parser = self._own_parser()
        view = parser.get_buffer(-1)
        size = min(len(view), len(piece))
        view[:size] = piece[:size]
        self._grow(self._room - len(view) + size)
        self._missing = max(self._missing - size, 0)
        parser.buffer_updated(size)
        return size

    def _grow(self, filled: int) -> None:
        """Follow the growth of picows' buffer, which doubles when ``filled`` bytes are most of it."""
        if 100 * filled // self._room > 90 or self._room - filled <= 256:
            self._room *= 2
            self._reserve = max(_RESERVE, self._room // 10 + 1)
            self._grown_buffers.add(self)

    def _note_missing(self, taken: memoryview) -> None:
        """Note how many bytes the frame lacks that has begun at the end of ``taken``, if it has begun there."""
        begun = self._begun
        if begun <= len(taken):
            self._missing = max(frame_size(taken[len(taken) - begun :]) - begun, 0)

    def _has_work(self) -> bool:
        """Return whether something waits that may be handed over."""
        return bool(self._rest) and not self.is_paused and self._timer is None

    def _may_be_direct(self) -> bool:
        is_busy = self._missing or self._rest or self._is_discarding or self._rate is not None
        return not is_busy and self._room <= KEPT_BUFFER

    def _pass_on_loss(self) -> None:
        connection = self._connection
        del self._connection  # it refers to us: without the cycle both are freed now, not by the garbage collector
        self._transport = None  # as does one of the event loop, over TLS
        self._drop_parser()
        connection.lost()

    def _settle(self) -> None:
        """Read from the transport unless the connection has paused that, or something waits."""
        if self._transport is None or self._transport.is_closing():
            return
        if self.is_reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()
