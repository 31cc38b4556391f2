"""Ids of connections."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode

_BYTES, _LETTERS = 12, 16  # base64 makes the one of the other
_AT_ONCE = 64


class SocketIds:
    """Ids that nobody can guess: 96 bits from the operating system's generator.

    They are fetched for many connections at once, as a system call for each is a good part of what one costs; and not
    before the first, so that processes which are forked before they serve have none in common.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: list[str] = []

    def next(self) -> str:
        """Return a new id."""
        if not self._left:
            text = urlsafe_b64encode(os.urandom(_BYTES * _AT_ONCE)).decode("ascii")
            self._left = [text[start : start + _LETTERS] for start in range(0, len(text), _LETTERS)]
        return self._left.pop()
