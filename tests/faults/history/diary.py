"""The file in which the clients of a run write down what they hear and what they are told, an event a line."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from crosswire.core.positions import parse_position
from tests.faults.history.checker import Ended, Event, Heard, Place, Told

Line = tuple[str, int, int, list[Any]]
"""Kind, client, room (-1 for all of the client's), and the fields of the event."""

_HEARD, _TOLD, _ENDED = "heard", "told", "ended"
_ALL_ROOMS = -1


class Diary:
    """Writes the file.

    Args:
        file: that is written.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def heard(self, client: int, room: int, stream: int, number: int, at: str | None) -> None:
        """Write down a message."""
        self._write(_HEARD, client, room, [time.time(), stream, number, at])

    def told(self, client: int, room: int, recovered: bool | None, reason: str | None, at: str | None) -> None:
        """Write down what a client is told of a room."""
        self._write(_TOLD, client, room, [time.time(), recovered, reason, at])

    def ended(self, client: int) -> None:
        """Write down the end of a client's connection."""
        self._write(_ENDED, client, _ALL_ROOMS, [time.time()])

    def flush(self) -> None:
        """Put everything into the file."""
        self._file.flush()

    def _write(self, kind: str, client: int, room: int, fields: list[Any]) -> None:
        self._file.write(msgspec.json.encode((kind, client, room, fields)) + b"\n")


def read_diary(path: Path, rooms_of: dict[int, list[int]]) -> dict[tuple[int, int], list[Event]]:
    """Return the events of each client in each room.

    Args:
        path: of the file.
        rooms_of: the rooms that each client is in.
    """
    events: dict[tuple[int, int], list[Event]] = defaultdict(list)
    decode = msgspec.json.Decoder(Line).decode
    for text in path.read_bytes().splitlines():
        kind, client, room, fields = decode(text)
        for each in rooms_of[client] if room == _ALL_ROOMS else [room]:
            events[client, each].append(_event(kind, fields))
    return dict(events)


def _event(kind: str, fields: list[Any]) -> Event:
    if kind == _ENDED:
        return Ended(*fields)
    at, first, second, position = fields
    place = _place(position)
    return Heard(at, first, second, place) if kind == _HEARD else Told(at, first, second, place)


def _place(at: str | None) -> Place | None:
    if at is None:
        return None
    position = parse_position(at)
    assert position is not None, f"{at!r} is no position"
    return position.epoch, position.offset
