"""Serves an ASGI application on the port of the WebSockets, with uvicorn's HTTP on the same event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from crosswire.core.limits import Limits
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.one_line_records import guarded_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.transport.interface import AsgiApplication, HandedOver, HttpRequest
from crosswire.transport.pending_handshakes import PendingHandshakes
from crosswire.transport.uvicorn_protocol import ApplicationProtocol, ApplicationShare

logger = get_logger("crosswire.http")

DATE_INTERVAL = 1.0
"""Seconds between two changes of the Date field of responses, which has whole seconds."""
WAIT_INTERVAL = 0.02
"""Seconds between two looks whether the last requests have ended, while the server stops."""
CUT_TIMEOUT = 1.0
"""Seconds that requests have to clean up when they are cut."""

_UVICORN_LOGGERS = ("uvicorn.error", "uvicorn.access")
"""Names of the loggers to which uvicorn's protocols write requests and what applications raise."""


class UvicornApplication:
    """An ``HttpApplication``; see interface.py.

    Args:
        app: gets all requests.
        takes_websocket: returns whether a request is for a WebSocket of the server, which the application does not get.
        limits: of the connections.
    """

    __slots__ = ("_app", "_date_timer", "_limits", "_share", "_takes_websocket")

    def __init__(self, app: AsgiApplication, takes_websocket: Callable[[HttpRequest], bool], limits: Limits) -> None:
        self._app = app
        self._takes_websocket = takes_websocket
        self._limits = limits
        self._share: ApplicationShare | None = None
        self._date_timer: asyncio.TimerHandle | None = None

    def answers(self, request: HttpRequest) -> bool:
        return not self._takes_websocket(request)

    def take_over(self, connection: HandedOver) -> None:
        share = self._share
        if share is None:  # it has stopped meanwhile
            connection.transport.abort()
            return
        protocol = ApplicationProtocol(share, connection)
        connection.transport.set_protocol(protocol)
        protocol.connection_made(connection.transport)
        protocol.data_received(connection.received)

    def start(self, state: dict[str, Any], *, access_log: bool) -> None:
        config = Config(
            self._app,
            http="httptools",
            ws="websockets-sansio",
            ws_max_size=self._limits.max_message,
            lifespan="off",  # the server runs it: its failure is an error of the start
            log_config=None,
            workers=1,  # not what WEB_CONCURRENCY says, which might be no number
            interface="asgi3",
            proxy_headers=False,
            server_header=False,
        )
        config.load()
        for name in _UVICORN_LOGGERS:
            guarded_logger(name)
        self._share = ApplicationShare(
            config=config,
            server_state=ServerState(),
            app_state=state,
            access_log=access_log,
            takes_websocket=self._takes_websocket,
            limits=self._limits,
            heads=PendingHandshakes(self._limits.handshake_timeout),
            warnings=ThrottledWarnings(logger),
        )
        self._set_date(self._share.server_state)

    def close_idle(self) -> None:
        share = self._share
        if share is None:
            return
        share.draining = True
        for connection in tuple(share.server_state.connections):
            connection.shutdown()

    async def finish(self, deadline: float, caller: asyncio.Task[Any] | None) -> None:
        share = self._share
        if share is None:
            return
        try:
            await _wait_for_end(share.server_state, deadline, caller)
        finally:
            self._share = None  # a connection that is handed over from now on is dropped
            share.heads.close()
            tasks = share.server_state.tasks - {caller}
            if tasks:
                logger.warning("%d requests were still at work and are cut", len(tasks))
            for connection in tuple(share.server_state.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            for task in tasks:
                task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CUT_TIMEOUT)

    def end(self) -> None:
        if self._date_timer is not None:
            self._date_timer.cancel()
            self._date_timer = None
        if self._share is not None:
            self._share.heads.close()
            self._share = None

    def _set_date(self, state: ServerState) -> None:
        state.default_headers = [(b"date", formatdate(usegmt=True).encode("ascii"))]
        self._date_timer = asyncio.get_running_loop().call_later(DATE_INTERVAL, self._set_date, state)


async def _wait_for_end(state: ServerState, deadline: float, caller: asyncio.Task[Any] | None) -> None:
    """Wait until all requests have ended and their responses have left, except for that of ``caller``."""
    loop = asyncio.get_running_loop()
    own = 0 if caller is None or caller not in state.tasks else 1  # the connection of a request that stops the server
    # uvicorn's sets tell nobody when they change.
    while (len(state.tasks) > own or len(state.connections) > own) and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(WAIT_INTERVAL)
