"""The context variables that nearly all connections have in common."""

from __future__ import annotations

from contextvars import Context, ContextVar
from operator import is_
from typing import Any


class UsualContext:
    """A context with the variables of the first connection, for all connections that have the same.

    Where ``authenticate`` and ``on_connect`` set no variable they all have the same. A context for each would be two
    objects more: they take memory, and time of the garbage collector. Nothing ever runs in the shared one, only in
    copies of it.

    Attributes:
        copy: returns a copy of it; from the first connection on.
    """

    __slots__ = ("_is_known", "_values", "_variables", "copy")

    def __init__(self) -> None:
        self._is_known = False
        self.copy = Context().copy
        self._variables: list[ContextVar[Any]] = []
        self._values: list[Any] = []

    def serves(self, context: Context) -> bool:
        """Return whether the shared context has what a connection's has: the same objects, as equal ones may change."""
        if not self._is_known:
            self._is_known, self.copy = True, context.copy().copy
            self._variables, self._values = [*context], [*context.values()]
        return [*context] == self._variables and all(map(is_, context.values(), self._values))
