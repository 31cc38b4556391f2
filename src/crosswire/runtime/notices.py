"""Warnings of what is lost: one line a second and kind, with the number of those left out."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Any

from crosswire.core.throttle import Throttle

PERIOD = 1.0
"""Seconds in which one line of a kind is logged."""
MOST_NAMES = 100
"""Names of one kind that get a line of their own."""
_LONGEST = 200
_VALUE = re.compile(r"""(?<=value )(?:'.*'|".*"|\S+)(?= - at |$)|(?<=unknown field )`.*`(?= - at |$)""", re.DOTALL)
"""What msgspec quotes of the data that does not fit."""


class Notices:
    """Logs at WARNING what nobody else is told of, however often it happens.

    The first of a kind is logged at once. Those that follow within a second are counted; when it is over the last of
    them is logged, with the number of the others. So a flood costs one line a second, and no loss goes untold.

    Args:
        logger: where the lines go.
        clock: gives seconds.

    Example::

        notices.warn("origin", "an upgrade was refused: the origin %r may not connect", origin)
    """

    __slots__ = ("_clock", "_left_out", "_logger", "_named", "_throttle")

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._throttle = Throttle(burst=1, period=PERIOD)
        self._left_out: dict[str, _Last] = {}
        self._named: dict[str, set[str]] = {}

    def warn(self, kind: str, text: str, *args: object) -> None:
        """Log a line, or count it.

        Args:
            kind: which lines count together. The kinds must be few, and none is made of what a peer sent.
            text: what was lost, why, and what to do about it, for ``%``. It holds no payload and no token, and what
                a peer chose is formatted with ``%r``: no name can then forge a line of its own.
            args: for the text.
        """
        held_back = self._throttle.admit(kind, self._clock())
        if held_back is None:
            self._keep(kind, text, args)
            return
        self._forget(kind)
        self._log(text, args, held_back)

    def warn_once(self, kind: str, name: str, text: str, *args: object) -> None:
        """Log a line once for each name, up to ``MOST_NAMES`` of a kind: peers can make up as many as they like.

        Args:
            kind: which names count together, as a clause: "there is no handler for an event".
            name: what the line is about.
            text: as for :meth:`warn`; its first argument is the name.
            args: more arguments.
        """
        names = self._named.setdefault(kind, set())
        if name in names or len(names) > MOST_NAMES:
            return
        names.add(name)
        if len(names) > MOST_NAMES:
            self._logger.warning("more than %d names were logged for which %s: no more are", MOST_NAMES, kind)
            return
        self._logger.warning(text, shown(name), *args)

    def _keep(self, kind: str, text: str, args: tuple[object, ...]) -> None:
        """Keep a line until the period is over; without an event loop, until the next of its kind is logged."""
        if (last := self._left_out.get(kind)) is not None:
            last.text, last.args = text, args
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._left_out[kind] = _Last(text, args, loop.call_later(PERIOD, self._tell, kind))

    def _tell(self, kind: str) -> None:
        """Log the last one that was left out; the others are the number."""
        last = self._left_out[kind]
        held_back = self._throttle.admit(kind, self._clock())
        if held_back is None:  # the timer is a little early: the clock is another than the loop's
            last.timer = asyncio.get_running_loop().call_later(PERIOD / 10, self._tell, kind)
            return
        del self._left_out[kind]
        self._log(last.text, last.args, held_back - 1)

    def _forget(self, kind: str) -> None:
        if (last := self._left_out.pop(kind, None)) is not None:
            last.timer.cancel()

    def _log(self, text: str, args: tuple[Any, ...], more: int) -> None:
        if more:
            text, args = text + " (%d more of these were not logged)", (*args, more)
        self._logger.warning(text, *args)


class _Last:
    """The last line of a kind that was left out."""

    __slots__ = ("args", "text", "timer")

    def __init__(self, text: str, args: tuple[object, ...], timer: asyncio.TimerHandle) -> None:
        self.text = text
        self.args = args
        self.timer = timer


def shown(name: str) -> str:
    """Return a name that a peer chose, to be formatted with ``%r``: not longer than a line can bear."""
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."


def reason(error: BaseException) -> str:
    """Return why data was refused, in one line and without the data."""
    text = _VALUE.sub("...", shown(str(error)))
    return text if text.isprintable() else ascii(text)
