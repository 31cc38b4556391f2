"""Throttled warnings of losses: at most one line a second and kind, with the number of lines that were left out."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from crosswire.core.throttle import Throttle
from crosswire.runtime import environment
from crosswire.runtime.log_records import RecordLogger

Attributes = dict[str, Any]

PERIOD = 1.0
"""Seconds in which one line of a kind is logged."""
MAX_LINES = 5
"""Lines of all kinds that are logged in one period: a peer may cause losses of many kinds at once."""
MAX_NAMES = 100
"""Names of one kind that are logged, each once."""
_MAX_SHOWN = 200
"""Characters of a name that are logged."""
_VALUE = re.compile(r"""(?<=value )(?:'.*'|".*"|\S+)(?= - at |$)|(?<=unknown field )`.*`(?= - at |$)""", re.DOTALL)
"""Data that msgspec quotes in its errors."""


class ThrottledWarnings:
    """Log of losses that are reported nowhere else, at WARNING, however often they happen.

    The first line of a kind is logged at once. Lines that follow within a second are counted; after it, the last of
    them is logged, with the number of the others. So a flood costs one line a second, and each loss is counted. Losses
    of many kinds cost ``MAX_LINES`` a second; further ones wait like lines that follow.

    Args:
        logger: logger of the lines.
        clock: returns seconds; None for that of the process.

    Example::

        warnings.warn("origin", "an upgrade was refused: the origin %r may not connect", origin)
    """

    __slots__ = ("_clock", "_left_out", "_lines", "_logger", "_named", "_over", "_period_began", "_throttle")

    def __init__(self, logger: logging.Logger | RecordLogger, clock: Callable[[], float] | None = None) -> None:
        self._logger = logger
        self._clock = clock or (lambda: environment.monotonic())  # looked up each time: a simulation replaces it
        self._throttle = Throttle(burst=1, period=PERIOD)
        self._period_began = -PERIOD
        self._lines = 0
        self._over: Counter[str] = Counter()  # lines that were left out for those of other kinds
        self._left_out: dict[str, _LastLine] = {}
        self._named: dict[str, set[str]] = {}

    def warn(self, kind: str, text: str, *args: object, extra: Attributes | None = None) -> None:
        """Log a line, or count it.

        Args:
            kind: lines of one kind are counted together. There must be few kinds, none of them chosen by a peer.
            text: the loss, its cause and advice, a ``%`` format. It contains no payload and no token, and what a peer
                chose is formatted with ``%r``, so that no name can forge a line of the log.
            args: arguments of the format.
            extra: attributes of the record: see :func:`~crosswire.runtime.log_records.about`.
        """
        held_back = self._admit(kind)
        if held_back is None:
            self._keep(kind, text, args, extra)
            return
        self._forget(kind)
        self._write(text, args, extra, held_back)

    def warn_once(self, kind: str, name: str, text: str, *args: object, extra: Attributes | None = None) -> None:
        """Log a line once for each name, up to ``MAX_NAMES`` of a kind, as peers can invent any number of them.

        Args:
            kind: names of one kind are counted together; a clause: "there is no handler for an event". Beyond
                ``MAX_LINES`` a second, a name is left for the next time.
            name: subject of the line.
            text: as for :meth:`warn`; its first argument is the name.
            args: other arguments of the format.
            extra: as for :meth:`warn`.
        """
        names = self._named.setdefault(kind, set())
        if name in names or len(names) > MAX_NAMES or not self._has_room(self._clock()):
            return
        self._lines += 1
        names.add(name)
        if len(names) > MAX_NAMES:
            self._logger.warning("more than %d names were logged for which %s; no more will be", MAX_NAMES, kind)
            return
        self._logger.warning(text, shown(name), *args, extra=extra)

    def _has_room(self, now: float) -> bool:
        """Return whether a line more may be logged in this period."""
        if now - self._period_began >= PERIOD:
            self._period_began, self._lines = now, 0
        return self._lines < MAX_LINES

    def _admit(self, kind: str, *, again: bool = False) -> int | None:
        """Return how many lines of a kind were left out since the last, or None if this one is left out.

        Args:
            kind: of the line.
            again: whether the line was left out and counted before.
        """
        now = self._clock()
        if not self._has_room(now):
            self._over[kind] += not again
            return None
        held_back = self._throttle.admit(kind, now)
        if held_back is None:
            return None
        self._lines += 1
        return held_back + self._over.pop(kind, 0)

    def _keep(self, kind: str, text: str, args: tuple[object, ...], extra: Attributes | None) -> None:
        """Keep a line until the period is over, or, without an event loop, until the next of its kind is logged."""
        if (last := self._left_out.get(kind)) is not None:
            last.text, last.args, last.extra = text, args, extra
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._left_out[kind] = _LastLine(text, args, extra, loop.call_later(PERIOD, self._write_kept, kind))

    def _write_kept(self, kind: str) -> None:
        """Log the last line that was left out, with the number of the others."""
        last = self._left_out[kind]
        held_back = self._admit(kind, again=True)
        if held_back is None:  # there are lines of other kinds, or this clock is not the loop's
            last.timer = asyncio.get_running_loop().call_later(PERIOD / 10, self._write_kept, kind)
            return
        del self._left_out[kind]
        self._write(last.text, last.args, last.extra, held_back - 1)

    def _forget(self, kind: str) -> None:
        if (last := self._left_out.pop(kind, None)) is not None:
            last.timer.cancel()

    def _write(self, text: str, args: tuple[Any, ...], extra: Attributes | None, more: int) -> None:
        if more:
            text, args = text + " (%d more of these were not logged)", (*args, more)
        self._logger.warning(text, *args, extra=extra)


class _LastLine:
    """Last line of a kind that was left out."""

    __slots__ = ("args", "extra", "text", "timer")

    def __init__(
        self, text: str, args: tuple[object, ...], extra: Attributes | None, timer: asyncio.TimerHandle
    ) -> None:
        self.text = text
        self.args = args
        self.extra = extra
        self.timer = timer


def shown(name: str) -> str:
    """Return a name that a peer chose, cut to a length that fits into a log; to be formatted with ``%r``."""
    return name if len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}..."


def reason(error: BaseException) -> str:
    """Return the reason why data was refused, in one line and without the data."""
    text = _VALUE.sub("...", shown(str(error)))
    return text if text.isprintable() else ascii(text)
