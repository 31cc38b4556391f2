"""Logs of the processes of a run: a record of fixed size for each message, in order."""

from __future__ import annotations

from array import array
from collections import defaultdict
from pathlib import Path
from struct import Struct

PUBLISHED = Struct("<IId")
"""Stream, number, when it was published in seconds of real time: all processes share the machine and its clock."""
RECEIVED = Struct("<IIId")
"""Client, stream, number, when it came."""


class Arrivals:
    """Messages of a stream that a client received, in order.

    Attributes:
        numbers: of the messages.
        times: when they came.
    """

    __slots__ = ("numbers", "times")

    def __init__(self) -> None:
        self.numbers = array("L")
        self.times = array("d")


def read_published(paths: list[Path]) -> dict[int, list[float]]:
    """Return when each message of each stream was published.

    Raises:
        ValueError: the numbers of a stream do not count up from 0.
    """
    times: dict[int, list[float]] = defaultdict(list)
    for path in paths:
        for stream, number, at in PUBLISHED.iter_unpack(_whole(path, PUBLISHED)):
            if number != len(times[stream]):
                raise ValueError(f"{path}: number {number} of stream {stream} comes after {len(times[stream]) - 1}")
            times[stream].append(at)
    return dict(times)


def read_received(path: Path) -> dict[tuple[int, int], Arrivals]:
    """Return what each client received of each stream."""
    arrivals: dict[tuple[int, int], Arrivals] = defaultdict(Arrivals)
    for client, stream, number, at in RECEIVED.iter_unpack(_whole(path, RECEIVED)):
        of = arrivals[client, stream]
        of.numbers.append(number)
        of.times.append(at)
    return dict(arrivals)


def _whole(path: Path, record: Struct) -> bytes:
    """Read the records of a file; the last one may be half written, by a process that was killed."""
    data = path.read_bytes()
    return data[: len(data) - len(data) % record.size]
