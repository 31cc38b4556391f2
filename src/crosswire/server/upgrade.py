"""Answers every HTTP request: grants the upgrade to a WebSocket, refuses it, or sends a plain answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from crosswire.core import deflate
from crosswire.core.formats import JSON_TEXT, Format, frame_format
from crosswire.core.messages import MSGPACK_SUBPROTOCOL, SERVER_HEADER
from crosswire.core.origins import Origins
from crosswire.core.proxies import TrustedProxies
from crosswire.runtime import environment
from crosswire.runtime.slow_handlers import SlowHandlerWatch, call_watched
from crosswire.runtime.throttled_warnings import shown
from crosswire.server.authentication import Authentication, Verdict
from crosswire.server.failures import FailureReporter
from crosswire.server.handshake import Handshake, path_of
from crosswire.server.plain_http import PlainRoutes
from crosswire.server.sessions import Sessions
from crosswire.transport.interface import Accepted, HttpRequest, Receiver, Response

OpenSession = Callable[[Handshake, Format, Verdict, Context], Receiver]
"""Function that makes the session of a connection, with the context variables that ``authenticate`` has set."""

_IDENTIFICATION = {SERVER_HEADER: "1"}
_KEY = re.compile(r"\s*[A-Za-z0-9+/]{22}==\s*", re.ASCII)
"""Pattern of a Sec-WebSocket-Key: 16 bytes in base64."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Conditions for an upgrade.

    Attributes:
        origins: of pages that may connect, or None for any. A client that sends none is not a browser, and may too.
        proxies: trusted about the address and scheme of clients, or None.
        subprotocols: the application's.
        compression: whether permessage-deflate is granted.
        connections: how many there may be, or None for any number.
        unauthenticated: connections whose ``authenticate`` may be at work, or None for any number.
        paths: where WebSockets are taken, or None for everywhere.
    """

    origins: Origins | None = None
    proxies: TrustedProxies | None = None
    subprotocols: Collection[str] = ()
    compression: bool = False
    connections: int | None = None
    paths: Collection[str] | None = None
    unauthenticated: int | None = None

    def choose(self, offered: Iterable[str]) -> str | None:
        """Return the first of the offered subprotocols that the server speaks, or None."""
        for name in offered:
            if name == MSGPACK_SUBPROTOCOL or name in self.subprotocols:
                return name
        return None

    def covers(self, path: str) -> bool:
        """Return whether WebSockets are taken on a path, percent-decoded and without the query."""
        return self.paths is None or path in self.paths


class Upgrade(msgspec.Struct, eq=False):
    """A request for a WebSocket, and what was decided about it.

    Attributes:
        request: as it came.
        handshake: what the application sees of it.
        variables: context variables that ``authenticate`` has set.
        verdict: of ``authenticate``, or a refusal.
    """

    request: HttpRequest
    handshake: Handshake
    variables: Context
    verdict: Verdict | Response


class Upgrades:
    """The ``Acceptor`` of a server.

    Args:
        routes: handlers of plain HTTP requests.
        authentication: the application's hook.
        terms: conditions for an upgrade.
        sessions: of the connections, for their number.
        open_session: makes the session of a new connection.
        failures: reports a hook that fails, and refusals.
        watch: warns of hooks and pages that take too long.

    Attributes:
        draining: set when the server stops; new connections are then refused with 503.
    """

    __slots__ = (
        "_authenticating",
        "_authentication",
        "_failures",
        "_open_session",
        "_routes",
        "_sessions",
        "_terms",
        "_watch",
        "draining",
    )

    def __init__(
        self,
        routes: PlainRoutes,
        authentication: Authentication,
        terms: Terms,
        sessions: Sessions,
        open_session: OpenSession,
        failures: FailureReporter,
        watch: SlowHandlerWatch | None = None,
    ) -> None:
        self._routes = routes
        self._authentication = authentication
        self._terms = terms
        self._sessions = sessions
        self._open_session = open_session
        self._failures = failures
        self._watch = watch
        self._authenticating = 0
        self.draining = False

    def accept(self, request: HttpRequest) -> Accepted | Response:
        """Grant the upgrade, or answer with plain HTTP."""
        return self.grant(self.judge(request)) if request.wants_websocket else self._answer(request)

    def judge(
        self, request: HttpRequest, user: str | None = None, *, routed: bool = False, upgraded: bool = False
    ) -> Upgrade:
        """Find out whether a request for a WebSocket is granted, as far as that is known at once.

        Args:
            request: for a WebSocket.
            user: if it is known; then ``authenticate`` is not called.
            routed: whether a route of an application has chosen this server, whatever the path.
            upgraded: whether the upgrade was granted already, so that no subprotocol can be chosen any more.
        """
        handshake, variables = self._handshake(request), copy_context()
        refusal = self._refusal(request, handshake.remote)
        terms = self._terms
        if terms.paths is not None and not routed and not terms.covers(handshake.path):
            refusal = Response(404, b"there are no WebSockets on this path")
        if refusal is not None:
            return Upgrade(request, handshake, variables, refusal)
        if not upgraded and "sec-websocket-protocol" in handshake.headers:
            handshake.subprotocol = terms.choose(handshake.subprotocols)
        verdict = variables.run(self._judge, handshake) if user is None else Verdict(user=user)
        if isinstance(verdict, Verdict) and verdict.pending is not None:
            verdict = self._count_pending(verdict, verdict.pending)
        return Upgrade(request, handshake, variables, verdict)

    def grant(self, upgrade: Upgrade) -> Accepted | Response:
        """Grant an upgrade, unless it is refused with HTTP."""
        request, handshake, verdict = upgrade.request, upgrade.handshake, upgrade.verdict
        if isinstance(verdict, Verdict) and verdict.reject is not None and verdict.reject.status is not None:
            verdict = Response(verdict.reject.status, verdict.reject.reason.encode("utf-8", "replace"))
        if isinstance(verdict, Response):
            self._warn_refused(handshake, verdict)
            return verdict
        subprotocol, window_bits = handshake.agree(), 0
        form: Format = JSON_TEXT
        if self._terms.compression and not request.websocket:
            window_bits = deflate.agree(request.headers)
        if window_bits or subprotocol == MSGPACK_SUBPROTOCOL:
            form = frame_format(msgpack=subprotocol == MSGPACK_SUBPROTOCOL, window_bits=window_bits)
        session = self._open_session(handshake, form, verdict, upgrade.variables)
        return Accepted(session, subprotocol, window_bits, _IDENTIFICATION)

    def _answer(self, request: HttpRequest) -> Response:
        handshake = self._handshake(request)
        answer = call_watched(
            self._watch,
            f"{request.method} {handshake.path}",
            self._routes.answer,
            handshake,
            request.method,
            request.body,
            draining=self.draining,
        )
        if "sec-websocket-key" in request.headers:
            self._warn_no_upgrade(handshake.remote, f"answered with HTTP {answer.status}")
        return answer

    def wants_body(self, request: HttpRequest) -> bool:
        """Return whether the body of a plain request is needed for its answer."""
        return self._routes.wants_body(self._handshake(request), request.method)

    def _handshake(self, request: HttpRequest) -> Handshake:
        scheme = "https" if request.secure else "http"
        remote, headers = request.remote, request.headers
        if (proxies := self._terms.proxies) is not None:
            requester = proxies.resolve(remote, scheme, headers)
            remote, scheme = requester.remote, requester.scheme
        return Handshake(request.target, headers, remote, None, scheme, request.peer_certificate)

    @property
    def proxies(self) -> TrustedProxies | None:
        """Proxies that are trusted about the address and scheme of clients."""
        return self._terms.proxies

    @property
    def has_paths(self) -> bool:
        """Whether WebSockets are taken on some paths only."""
        return self._terms.paths is not None

    def takes(self, request: HttpRequest) -> bool:
        """Return whether a request is for a WebSocket of this server, and not for an application on its port.

        A request that should have been one is warned of.
        """
        if "sec-websocket-key" in request.headers and not request.wants_websocket:
            self._warn_no_upgrade(request.remote, "handed to the application")
        return request.wants_websocket and self._terms.covers(path_of(request.target))

    def refuse_if_full(self) -> Response | None:
        """Return a refusal while the server stops, or has as many connections as it may have; else None."""
        limit = self._terms.connections
        if self.draining or (limit is not None and len(self._sessions) >= limit):
            return Response(503, b"the server takes no more connections", {"Retry-After": "5"})
        return None

    def _count_pending(self, verdict: Verdict, pending: Callable[[], Awaitable[Any]]) -> Verdict | Response:
        """Return a verdict whose hook is counted while it is at work, or a refusal if too many are."""
        limit = self._terms.unauthenticated
        if limit is None:
            return verdict
        if self._authenticating >= limit:
            return Response(503, b"too many connections wait to be let in", {"Retry-After": "5"})

        async def authenticate() -> Any:
            self._authenticating += 1
            try:
                return await pending()
            finally:
                self._authenticating -= 1

        return replace(verdict, pending=authenticate)

    def _refusal(self, request: HttpRequest, remote: str) -> Response | None:
        """Return the refusal of a request that can't become a WebSocket for any user; else None."""
        if (full := self.refuse_if_full()) is not None:
            return full
        headers = request.headers
        if not request.websocket:
            if headers.get("sec-websocket-version", "").strip() != "13":  # RFC 6455, section 4.4
                return Response(426, b"the WebSocket version is 13", {"Sec-WebSocket-Version": "13"})
            if _KEY.fullmatch(headers.get("sec-websocket-key", "")) is None:
                return Response(400, b"Sec-WebSocket-Key must be 16 bytes in base64")
        origins = self._terms.origins
        if origins is not None and "origin" in headers and not origins.allows(headers["origin"]):
            return Response(403, b"this origin may not connect")
        addresses = self._sessions.addresses
        return None if addresses is None else addresses.refusal(remote)

    def _judge(self, handshake: Handshake) -> Verdict | Response:
        began = environment.monotonic()  # as call_watched does
        try:
            return self._authentication.judge(handshake)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the hook may raise anything; it is reported
            self._failures.report(None, error, "authenticate", event="authenticate")
            return Response(500, b"authentication failed")
        finally:
            if (watch := self._watch) is not None and environment.monotonic() - began > watch.limit:
                watch.report("authenticate", began)

    def _warn_no_upgrade(self, remote: str, outcome: str) -> None:
        """Warn that an upgrade lacks its header fields, as after a proxy that is not configured for WebSockets."""
        text = (
            "a request for a WebSocket, of %r, came without `Upgrade: websocket` and `Connection: Upgrade`, or over "
            "HTTP/1.0, and was %s: a proxy in front has to pass these on, over HTTP/1.1"
        )
        self._failures.warnings.warn("no upgrade", text, remote, outcome)

    def _warn_refused(self, handshake: Handshake, refusal: Response) -> None:
        """Count and warn of a refusal: a browser does not tell its page the reason."""
        self._failures.losses.refused(refusal.status)
        origin = handshake.headers.get("origin", "")
        text = "an upgrade was refused with HTTP %d: %r, to %r, Origin %r"
        why = shown(refusal.body.decode("utf-8", "replace"))
        self._failures.warnings.warn(
            f"upgrade {refusal.status // 100}xx", text, refusal.status, why, handshake.remote, shown(origin)
        )
