"""Positions in the history of a room, and the form in which messages carry them."""

from __future__ import annotations

import re
from typing import NamedTuple

EPOCH_LENGTH = 8
"""Characters of an epoch."""
_POSITION = re.compile(r"([0-9A-Za-z]{8})\.(0|[1-9][0-9]{0,17})")


class LogPosition(NamedTuple):
    """A position: a message of a room's log, and all messages before it.

    Attributes:
        epoch: names one run of one room's log; no other room, and no later run, has it.
        offset: of the message in this run; the first one has 1, and 0 is the position before it.
    """

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.offset}"


def parse_position(text: str) -> LogPosition | None:
    """Read a position as applications and clients have it; return None if it is none."""
    match = _POSITION.fullmatch(text)
    return None if match is None else LogPosition(match[1], int(match[2]))
