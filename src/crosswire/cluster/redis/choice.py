"""Strategies to choose the Redis for a message."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from math import inf
from typing import Any, Protocol, TypeVar
from zlib import crc32

from crosswire.runtime import environment

MAX_REMEMBERED = 65_536
"""Maximum number of channels whose choice is remembered; beyond it, all are forgotten."""
_WORD = 0xFFFFFFFF
"""Mask of 32 bits, the size of a CRC."""


class Candidate(Protocol):
    """A Redis that can be chosen."""

    @property
    def id(self) -> str:
        """A name that means the same Redis on every node."""
        ...

    @property
    def latency(self) -> float | None:
        """Milliseconds that the last probe took to come back."""
        ...


T = TypeVar("T", bound=Candidate)


class Choice(Protocol[T]):
    """A strategy to choose the Redis for each message.

    Attributes:
        ordered: whether all messages of a channel take the same path, as long as the same Redis can be used.
    """

    ordered: bool

    def use(self, usable: Sequence[T]) -> None:
        """Choose among these candidates from now on; there is at least one."""

    def measured(self) -> None:
        """Take note that a latency changed. Most strategies ignore it."""
        return

    def choose(self, channel: bytes) -> tuple[T, ...]:
        """Return as many of them as there are to be copies, or all if there are fewer; the best first."""
        ...


class HashChoice(Choice[T]):
    """Rendezvous hashing: each channel has its own ranking of the Redis, the same on every node.

    So when a Redis is lost, only its channels move, and when it is back, only these move back.
    """

    ordered = True

    def __init__(self, copies: int) -> None:
        self._copies = copies
        self._usable: Sequence[tuple[int, T]] = ()
        self._chosen: dict[bytes, tuple[T, ...]] = {}

    def use(self, usable: Sequence[T]) -> None:
        self._usable = [(crc32(each.id.encode()), each) for each in usable]
        self._chosen.clear()

    def choose(self, channel: bytes) -> tuple[T, ...]:
        chosen = self._chosen.get(channel)
        if chosen is None:
            if len(self._chosen) >= MAX_REMEMBERED:
                self._chosen.clear()
            key = crc32(channel)
            ranked = sorted(self._usable, key=lambda each: (_mixed(key ^ each[0]), each[1].id), reverse=True)
            chosen = self._chosen[channel] = tuple(each for _, each in ranked[: self._copies])
        return chosen


class RoundRobinChoice(Choice[T]):
    """The next Redis for each message, in turn."""

    ordered = False

    def __init__(self, copies: int) -> None:
        self._copies = copies
        self._turns: list[tuple[T, ...]] = []
        self._next = 0

    def use(self, usable: Sequence[T]) -> None:
        count = len(usable)
        self._turns = [
            tuple(usable[(first + more) % count] for more in range(min(self._copies, count))) for first in range(count)
        ]
        self._next = 0

    def choose(self, channel: bytes) -> tuple[T, ...]:
        turn = self._next
        self._next = turn + 1 if turn + 1 < len(self._turns) else 0
        return self._turns[turn]


class RandomChoice(Choice[T]):
    """A random Redis for each message."""

    ordered = False

    def __init__(self, copies: int) -> None:
        self._copies = copies
        self._picks: list[tuple[T, ...]] = []

    def use(self, usable: Sequence[T]) -> None:
        self._picks = list(permutations(usable, min(self._copies, len(usable))))

    def choose(self, channel: bytes) -> tuple[T, ...]:
        return self._picks[int(environment.random() * len(self._picks))]


class FastestChoice(Choice[T]):
    """The Redis whose last probe came back soonest."""

    ordered = False

    def __init__(self, copies: int) -> None:
        self._copies = copies
        self._usable: Sequence[T] = ()
        self._chosen: tuple[T, ...] = ()

    def use(self, usable: Sequence[T]) -> None:
        self._usable = usable
        self.measured()

    def measured(self) -> None:
        ranked = sorted(self._usable, key=lambda each: inf if each.latency is None else each.latency)
        self._chosen = tuple(ranked[: self._copies])

    def choose(self, channel: bytes) -> tuple[T, ...]:
        return self._chosen


STRATEGIES: dict[str, Any] = {
    "hash": HashChoice,
    "round-robin": RoundRobinChoice,
    "random": RandomChoice,
    "fastest": FastestChoice,
}


def make_choice(strategy: str, copies: int) -> Choice[Any]:
    """Make a strategy of :data:`STRATEGIES` that chooses ``copies`` Redis for each message."""
    made: Choice[Any] = STRATEGIES[strategy](copies)
    return made


def _mixed(word: int) -> int:
    """Mix the bits of a CRC, as the finalizer of MurmurHash3 does: a CRC alone would rank similar channels alike."""
    word = (word ^ word >> 16) * 0x85EBCA6B & _WORD
    word = (word ^ word >> 13) * 0xC2B2AE35 & _WORD
    return word ^ word >> 16
