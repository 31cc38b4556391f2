"""Makes the target of each attempt to connect, from parameters and headers that may be new each time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from crosswire.client.options import require_headers, require_no_arguments
from crosswire.client.url import Params, join_params
from crosswire.core.messages import KEEPS_POSITIONS, POSITIONS_PARAMETER, RENEWAL_PARAMETER, VERSION_PARAMETER
from crosswire.errors import NotConnected
from crosswire.runtime.background_tasks import is_being_cancelled
from crosswire.transport.client_connection import ConnectTarget

T = TypeVar("T")
Headers = Mapping[str, str]
Fresh = Callable[[], T | Awaitable[T | None] | None]
"""Function that is called before each attempt; sync or async."""

_VERSION = KEEPS_POSITIONS
"""Version of what this client understands besides the original's protocol: ``$ready``, positions and ``$room``."""


class Targets:
    """Factory of the targets of a client's attempts.

    Args:
        url: of the server.
        params: of the query, or a function that returns them.
        headers: of the upgrade request, or a function that returns them.
        template: the rest of each target; its url and its headers are replaced.
        offer: returns the positions that the server is told, or "".

    Attributes:
        renews_credentials: whether a function is called for each attempt, so that the next token may be accepted after
            one was refused.
        renews_parameters: whether that is so of the parameters, so that the server may ask for new ones.

    Raises:
        ConfigError: the url, parameters or headers can't be used.
    """

    def __init__(
        self,
        url: str,
        params: Params | Fresh[Params] | None,
        headers: Headers | Fresh[Headers] | None,
        template: ConnectTarget,
        offer: Callable[[], str],
    ) -> None:
        self._url = url
        self._params = _checked("params", params)
        self._headers = _checked("headers", headers)
        self._template = template
        self._offer = offer
        self.renews_credentials = callable(params) or callable(headers)
        self.renews_parameters = callable(params)
        # Values that no function returns are checked at once.
        self._make(None if callable(params) else params, None if callable(headers) else headers)

    async def next(self) -> ConnectTarget:
        """Return the target of the next attempt.

        Raises:
            NotConnected: a function failed, or its result can't be used; the cause is its own error.
        """
        target = self._make_or_fail(await _value("params", self._params), await _value("headers", self._headers))
        positions = self._offer()
        # Put behind the query as they are, as all of it can stand in a URL: a comma would take three bytes.
        return replace(target, url=f"{target.url}&{POSITIONS_PARAMETER}={positions}") if positions else target

    async def parameters(self) -> dict[str, Any]:
        """Return the parameters of the next attempt, for a server that asks for a new token.

        Raises:
            NotConnected: as :meth:`next`.
        """
        params = await _value("params", self._params)
        self._make_or_fail(params, None)
        return dict(params or {})

    def _make_or_fail(self, params: Params | None, headers: Headers | None) -> ConnectTarget:
        try:
            return self._make(params, headers)
        except Exception as error:  # the application's mapping may raise anything
            raise NotConnected(f"can't connect: what params or headers returned can't be used: {error}") from error

    def _make(self, params: Params | None, headers: Headers | None) -> ConnectTarget:
        understood = {VERSION_PARAMETER: _VERSION} | ({RENEWAL_PARAMETER: 1} if self.renews_parameters else {})
        url = join_params(join_params(self._url, params), understood)
        return replace(self._template, url=url, headers=require_headers(headers))


def _checked(name: str, given: T | Fresh[T] | None) -> T | Fresh[T] | None:
    return require_no_arguments(name, given) if callable(given) else given


async def _value(name: str, given: Any) -> Any:
    if not callable(given):
        return given
    try:
        value = given()
        return await value if inspect.isawaitable(value) else value
    except asyncio.CancelledError as error:
        if is_being_cancelled():
            raise
        raise _failed(name, error) from error  # the function's own task was cancelled, not the attempt
    except Exception as error:
        raise _failed(name, error) from error


def _failed(name: str, error: BaseException) -> NotConnected:
    return NotConnected(f"can't connect: the function of {name} failed with {type(error).__name__}: {error}")
