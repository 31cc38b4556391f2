"""The replies of several nodes or users to one request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crosswire.errors import EventError
from crosswire.types import Replies


class AwaitedReplies:
    """The names of the nodes or users whose replies to one request are still waited for.

    Args:
        ways: how many connections each name can reply over: one for a node, none for a user who is not connected.
        expect: how many replies are enough; None for one from each name that can reply.

    Attributes:
        complete: whether no more replies are waited for.
    """

    __slots__ = ("_expect", "_lost", "_replied", "_ways", "complete")

    def __init__(self, ways: Mapping[str, int], expect: int | None = None) -> None:
        self._ways = {name: count for name, count in ways.items() if count}
        self._lost = [name for name, count in ways.items() if not count]
        self._expect = expect
        self._replied: set[str] = set()
        self.complete = expect is None and not self._ways

    def replied(self, name: str) -> bool:
        """Record a reply; return whether it is the first reply of a name that was asked, and so counts."""
        expect = self._expect
        if expect is None:
            if self._ways.pop(name, None) is None:
                return False
            self.complete = not self._ways
        else:
            if name in self._replied:
                return False
            self._replied.add(name)
            self._ways.pop(name, None)
            self.complete = len(self._replied) >= expect
        return True

    def lost(self, name: str) -> None:
        """Record that one of the connections over which a name can reply is lost."""
        ways = self._ways.get(name)
        if ways is None:
            return
        if ways > 1:
            self._ways[name] = ways - 1
            return
        del self._ways[name]
        self._lost.append(name)
        if self._expect is None:
            self.complete = not self._ways

    @property
    def missing(self) -> tuple[str, ...]:
        """The names that did not reply; empty if there were ``expect`` replies."""
        if self._expect is not None and self.complete:
            return ()
        return (*self._lost, *self._ways)


class GatheredReplies:
    """The replies to one request, the first of each name.

    Args:
        ways: how many connections each name can reply over.
        expect: how many replies are enough; None for one from each name that can reply.
    """

    __slots__ = ("_answers", "_awaited", "_errors", "_expect")

    def __init__(self, ways: Mapping[str, int], expect: int | None = None) -> None:
        self._awaited = AwaitedReplies(ways, expect)
        self._expect = expect or 0
        self._answers: dict[str, Any] = {}
        self._errors: dict[str, EventError] = {}

    @property
    def complete(self) -> bool:
        """Whether no more replies are waited for."""
        return self._awaited.complete

    def answered(self, name: str, answer: Any) -> bool:
        """Take an answer; return whether no more replies are waited for."""
        if self._awaited.replied(name):
            self._answers[name] = answer
        return self._awaited.complete

    def refused(self, name: str, error: EventError) -> bool:
        """Take a refusal; return whether no more replies are waited for."""
        if self._awaited.replied(name):
            error.sender = name
            self._errors[name] = error
        return self._awaited.complete

    def lost(self, name: str) -> bool:
        """Record a lost connection of a name; return whether no more replies are waited for."""
        self._awaited.lost(name)
        return self._awaited.complete

    def result(self) -> Replies:
        """Return what was gathered so far."""
        return Replies(self._answers, errors=self._errors, missing=self._awaited.missing, expected=self._expect)
