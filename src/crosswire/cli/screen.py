"""A terminal that shows a picture, and is restored at the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_ENTER = "\x1b[?1049h\x1b[?25l"
"""Sequences of xterm: show the alternate screen, hide the cursor."""
_LEAVE = "\x1b[?25h\x1b[?1049l"
"""Sequences of xterm: show the cursor, and the screen as it was before."""
_MAX_KEYS = 64
"""Bytes of keys that are read at once."""
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


class Screen:
    """The terminal of this process, while it shows a picture.

    Attributes:
        ended: set when the user has pressed q, or the process gets SIGTERM or SIGHUP.
        changed: set when the terminal has another size.
    """

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.changed = asyncio.Event()

    async def show(self, picture: Callable[[int], list[str]], seconds: float) -> None:
        """Show a picture for some seconds, and draw it again when the terminal gets another size.

        Args:
            picture: returns its lines for a height of the terminal; what does not fit is cut off.
            seconds: to wait.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    self.changed.clear()
                    _draw(picture)
                    await self.changed.wait()

    def read_keys(self) -> None:
        """Read the keys that were pressed."""
        try:
            keys = os.read(sys.stdin.fileno(), _MAX_KEYS)
        except OSError:  # the terminal is gone
            keys = b""
        if not keys or b"q" in keys.lower():
            self.ended.set()


def _draw(picture: Callable[[int], list[str]]) -> None:
    width, height = shutil.get_terminal_size()
    lines = "\n".join(f"{line[:width]}{_CLEAR_LINE}" for line in picture(height)[:height])
    sys.stdout.write(f"{_HOME}{lines}{_CLEAR_BELOW}")
    sys.stdout.flush()


@contextmanager
def full_screen() -> Iterator[Screen]:
    """Take over the terminal while a context lasts."""
    shown = Screen()
    loop = asyncio.get_running_loop()
    with _single_keys():
        suspended = signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # it would leave the terminal as it is now
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, shown.ended.set)
        loop.add_signal_handler(signal.SIGWINCH, shown.changed.set)
        if sys.stdin.isatty():
            loop.add_reader(sys.stdin, shown.read_keys)
        try:
            sys.stdout.write(_ENTER)
            yield shown
        finally:
            sys.stdout.write(_LEAVE)
            sys.stdout.flush()
            loop.remove_reader(sys.stdin)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH):
                loop.remove_signal_handler(number)
            signal.signal(signal.SIGTSTP, suspended)


@contextmanager
def _single_keys() -> Iterator[None]:
    """Get keys as they are pressed, and show none, while a context lasts."""
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
