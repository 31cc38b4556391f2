"""Who a new connection is, as the application's ``authenticate`` hook says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import CoroutineType
from typing import Any

from crosswire.core.listeners import Handler, Listener
from crosswire.core.names import require_name
from crosswire.errors import ConfigError, Reject
from crosswire.server.handshake import Handshake


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a hook said of a handshake.

    Attributes:
        user: the user's id, or None for one that is generated.
        reject: why the connection is refused.
        pending: an asynchronous hook, which is still to be run; it gives a user or raises.
    """

    user: str | None = None
    reject: Reject | None = None
    pending: Callable[[], Awaitable[Any]] | None = None


class Authentication:
    """The application's hook; without one, every connection is let in under a generated user."""

    __slots__ = ("_hook",)

    def __init__(self) -> None:
        self._hook: Listener | None = None

    def use(self, hook: Handler) -> None:
        """Ask this hook from now on.

        Raises:
            ConfigError: there is one already.
        """
        if self._hook is not None:
            raise ConfigError("there is an authenticate hook already: one hook decides, let it call what it needs")
        self._hook = Listener(hook, 1)

    def judge(self, handshake: Handshake) -> Verdict:
        """Ask the hook; what it raises but :exc:`Reject` is the caller's to handle."""
        if self._hook is None:
            return Verdict()
        hook, arguments = self._hook.handler, (handshake,)[: self._hook.arity]
        if self._hook.is_async:
            return Verdict(pending=lambda: hook(*arguments))
        try:
            user = hook(*arguments)
        except Reject as reject:
            return Verdict(reject=reject)
        if type(user) is CoroutineType:
            return Verdict(pending=lambda: user)
        return Verdict(user=checked_user(user))


def checked_user(user: object) -> str | None:
    """Return what ``authenticate`` gave, if it can be a user.

    Raises:
        UsageError: it is neither a non-empty string nor None.
    """
    return None if user is None else require_name(user, "the user that authenticate returns")
