"""Authenticates new connections with the application's ``authenticate`` hook."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from types import CoroutineType, NoneType
from typing import Any, get_args, get_origin

from crosswire.core.annotations import alternatives, may_be
from crosswire.core.listeners import Handler, Listener
from crosswire.core.names import require_name
from crosswire.core.signatures import Arguments, inspect_handler, name_of
from crosswire.errors import ConfigError, Reject, UsageError
from crosswire.runtime.contexts import run_in
from crosswire.server.handshake import Handshake

_AWAITABLES = (Awaitable, Coroutine, asyncio.Future, asyncio.Task)
_REMEDY = "if it has an id, return str(user.id)"
_HANDSHAKE = Arguments(handshake=Handshake)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of the hook for one handshake.

    Attributes:
        user: the user's id, or None for one that is generated.
        reject: why the connection is refused.
        pending: starts the rest of an asynchronous hook, which returns a user or raises.
    """

    user: str | None = None
    reject: Reject | None = None
    pending: Callable[[], Awaitable[Any]] | None = None


class Authentication:
    """The ``authenticate`` hook; without one, every connection is let in under a generated user."""

    __slots__ = ("_hook",)

    def __init__(self) -> None:
        self._hook: Listener | None = None

    def use(self, hook: Handler) -> None:
        """Set the hook.

        Raises:
            ConfigError: there is one already; or it takes something other than a handshake, or its annotation says that
                it does not return a user id.
        """
        if self._hook is not None:
            raise ConfigError("there is an authenticate hook already: one hook decides, let it call what it needs")
        _require_users(hook, inspect_handler(hook, _HANDSHAKE, "authenticate").returns)
        self._hook = Listener(hook, _HANDSHAKE, "authenticate")

    def judge(self, handshake: Handshake) -> Verdict:
        """Call the hook and return its verdict.

        Raises:
            Exception: whatever the hook raises, except :exc:`Reject`.
        """
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


async def conclude(pending: Callable[[], Awaitable[Any]], variables: Context) -> Verdict:
    """Run the rest of an asynchronous hook, with its context variables, and return its verdict.

    Raises:
        Exception: whatever the hook raises, except :exc:`Reject`.
    """

    async def ask() -> Any:
        return await pending()

    try:
        return Verdict(user=checked_user(await run_in(variables, ask())))
    except Reject as reject:
        return Verdict(reject=reject)


def checked_user(user: object) -> str | None:
    """Return what ``authenticate`` returned, if it can be a user.

    Raises:
        UsageError: it is neither a non-empty string nor None.
    """
    if user is None or isinstance(user, str):
        return None if user is None else require_name(user, "the user that authenticate returns")
    # Without its value: an object that stands for a user might contain secrets, and this is logged.
    raise UsageError(
        f"the user that authenticate returns must be a string or None, not {type(user).__name__}: {_REMEDY}"
    )


def _require_users(hook: Handler, returns: Any) -> None:
    """Check that what a hook's annotation says it returns can be a user."""
    for each in alternatives(returns):
        if (get_origin(each) or each) in _AWAITABLES:
            _require_users(hook, (get_args(each) or (Any,))[-1])
        elif not may_be(each, (str, NoneType)):
            raise ConfigError(
                f"{name_of(hook)} can't be the authenticate hook: its annotation says that it returns "
                f"{getattr(each, '__name__', each)}, and a user is a string or None: {_REMEDY}"
            )
