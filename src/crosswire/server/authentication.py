"""Authenticates new connections with the application's ``authenticate`` hook."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from types import CoroutineType, NoneType
from typing import Any, get_args, get_origin

import msgspec

from crosswire.core.annotations import alternatives, may_be
from crosswire.core.listeners import Handler, Listener
from crosswire.core.names import require_name
from crosswire.core.signatures import Arguments, inspect_handler, name_of
from crosswire.errors import ConfigError, Reject, UsageError
from crosswire.runtime.contexts import run_in
from crosswire.server.handshake import Handshake
from crosswire.types import Identity

_AWAITABLES = (Awaitable, Coroutine, asyncio.Future, asyncio.Task)
_REMEDY = "if it has an id, return str(user.id)"
_HANDSHAKE = Arguments(handshake=Handshake)


@dataclass(frozen=True, slots=True)
class FirstMessage:
    """Result of a synchronous hook for a client whose token comes in its first message.

    Attributes:
        verify: called with the payload of that message; returns what the hook would, or an awaitable of it.
    """

    verify: Callable[[Any], Any]


class Verdict(msgspec.Struct):
    """Outcome of the hook for one handshake.

    Attributes:
        user: the user's id, or None for one that is generated.
        reject: why the connection is refused.
        pending: starts the rest of an asynchronous hook, which returns a user or raises.
        identity: what is known of the user besides the id, if anything.
        first_message: continues the hook when the client's first message has come.
    """

    user: str | None = None
    reject: Reject | None = None
    pending: Callable[[], Awaitable[Any]] | None = None
    identity: Identity | None = None
    first_message: FirstMessage | None = None


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
        listener = self._hook
        hook, arguments = listener.handler, (handshake,)[: listener.arity]
        if listener.is_async:
            return Verdict(pending=lambda: hook(*arguments))
        try:
            user = hook(*arguments)
        except Reject as reject:
            return Verdict(reject=reject)
        if type(user) is str and user and user.isascii():  # nearly always, and fast
            return Verdict(user)
        if type(user) is CoroutineType:
            return Verdict(pending=lambda: user)
        if type(user) is FirstMessage:
            return Verdict(first_message=user)
        return verdict_for(user)


async def conclude(pending: Callable[[], Awaitable[Any]], variables: Context) -> Verdict:
    """Run the rest of an asynchronous hook, with its context variables, and return its verdict.

    Raises:
        Exception: whatever the hook raises, except :exc:`Reject`.
    """

    async def ask() -> Any:
        return await pending()

    try:
        return verdict_for(await run_in(variables, ask()))
    except Reject as reject:
        return Verdict(reject=reject)


def verdict_for(user: object) -> Verdict:
    """Return the verdict that lets in what ``authenticate`` returned.

    Raises:
        UsageError: it is neither a non-empty string nor an identity nor None.
    """
    if user is None:
        return Verdict()
    if isinstance(user, str):
        return Verdict(user=require_name(user, "the user that authenticate returns"))
    if isinstance(user, Identity):
        return Verdict(user=_checked(user).user, identity=user)
    # Without its value: an object that stands for a user might contain secrets, and this is logged.
    raise UsageError(
        f"the user that authenticate returns must be a string or None, not {type(user).__name__}: {_REMEDY}"
    )


def _checked(identity: Identity) -> Identity:
    """Return an identity that is of use.

    Raises:
        UsageError: one of its values has the wrong type.
    """
    require_name(identity.user, "the user of an Identity")
    if identity.token_id is not None:
        require_name(identity.token_id, "the token_id of an Identity")
    for name in ("expires", "issued_at"):
        value: object = getattr(identity, name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not is_number:
            raise UsageError(f"{name} of an Identity is in seconds since 1970, or None")
    return identity


def _require_users(hook: Handler, returns: Any) -> None:
    """Check that what a hook's annotation says it returns can be a user."""
    for each in alternatives(returns):
        if (get_origin(each) or each) in _AWAITABLES:
            _require_users(hook, (get_args(each) or (Any,))[-1])
        elif not may_be(each, (str, NoneType, Identity, FirstMessage)):
            raise ConfigError(
                f"{name_of(hook)} can't be the authenticate hook: its annotation says that it returns "
                f"{getattr(each, '__name__', each)}, and a user is a string or None: {_REMEDY}"
            )
