"""A client of an ASGI application in its own process: it calls the application as an ASGI server does."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from crosswire.core.headers import Headers
from crosswire.errors import NotConnected
from crosswire.transport.interface import AsgiApplication, Response
from crosswire.types import Close, CloseCode

CAPACITY = 64 * 1024
"""Bytes of messages that a client takes before it receives them."""
_DENIAL = "websocket.http.response"

Event = Mapping[str, Any]


def make_scope(
    type: str, target: str, headers: Iterable[tuple[str, str]], remote: str, **fields: object
) -> dict[str, Any]:
    """Return the scope of a request; ``fields`` replace some of its fields."""
    path, _, query = target.partition("?")
    return {
        "type": type,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws" if type == "websocket" else "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": (remote, 50_000) if remote else None,
        "server": ("test", 80),
        "extensions": {_DENIAL: {}},
    } | fields


async def connect(
    application: AsgiApplication,
    target: str = "/",
    headers: Collection[tuple[str, str]] = (),
    remote: str = "127.0.0.1",
    **fields: object,
) -> AsgiClient | Response:
    """Ask an application for a WebSocket; return the client's side of it, or the response that refuses it.

    Args:
        application: gets the ASGI call, in a task of its own.
        target: path and query.
        headers: of the request.
        remote: the address that the application sees.
        fields: of the scope, instead of the usual.

    Raises:
        NotConnected: the application returned without an answer.
        Exception: it raised instead.
    """
    scope = make_scope("websocket", target, headers, remote, **fields)
    offered = [
        name.strip() for key, value in headers if key.lower() == "sec-websocket-protocol" for name in value.split(",")
    ]
    client = AsgiClient()
    client.start(application, scope | {"subprotocols": offered})
    return await client.accepted()


class AsgiClient:
    """The client's side of a WebSocket, and the ASGI server in between; a ``TransportPeer`` of the contract suite.

    Made by :func:`connect`.

    Attributes:
        subprotocol: what the application chose, or None.
        headers: fields of the application's answer besides those of the protocol.
        call: the task of the ASGI call.
    """

    def __init__(self) -> None:
        self._inbox = MessageInbox()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._events.put_nowait({"type": "websocket.connect"})
        self._answer: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        self._denial: Event = {}
        self._is_open = False
        self._is_lost = False
        self.call: asyncio.Task[None]
        self.subprotocol: str | None = None
        self.headers = Headers()

    def start(self, application: AsgiApplication, scope: dict[str, Any]) -> None:
        """Call the application, in a task of its own."""
        self.call = asyncio.create_task(self._call(application, scope), name="ASGI call")

    async def accepted(self) -> AsgiClient | Response:
        """Return this client once it is let in, or the response that refuses it."""
        refusal = await self._answer
        return self if refusal is None else refusal

    async def _call(self, application: AsgiApplication, scope: dict[str, Any]) -> None:
        try:
            await application(scope, self._receive, self._send)
        except Exception as error:
            if self._answer.done():
                raise
            self._answer.set_exception(error)
        finally:
            if not self._answer.done():
                self._answer.set_exception(NotConnected("the application returned without an answer"))
            self._end()

    # The server's side

    async def _receive(self) -> Event:
        event = await self._events.get()
        if event["type"] == "websocket.disconnect" and not self._is_lost:
            self._end(Close(event["code"], event["reason"]))  # the Close is read, and answered, only now
        return event

    async def _send(self, event: Event) -> None:
        kind = event["type"]
        if not self._is_open:
            self._take_answer(kind, event)
            return
        await self._inbox.until_it_takes_more()
        if self._is_lost:
            raise OSError("the client has gone")
        if kind == "websocket.close":
            close = Close(event["code"], event["reason"])
            self._put(_disconnect(close))  # at once, as uvicorn does
            self._end(close)
        else:
            self._inbox.put(event["text"] if event.get("text") is not None else event["bytes"])

    def _take_answer(self, kind: str, event: Event) -> None:
        if kind == "websocket.accept":
            self._is_open = True
            self.subprotocol = event["subprotocol"]
            self.headers = Headers([(name.decode(), value.decode()) for name, value in event["headers"]])
            self._answer.set_result(None)
        elif kind == "websocket.close":
            self._answer.set_result(Response(403))
        elif kind == f"{_DENIAL}.start":
            self._denial = event
        else:
            assert kind == f"{_DENIAL}.body", kind
            headers = {name.decode(): value.decode() for name, value in self._denial["headers"]}
            self._answer.set_result(Response(self._denial["status"], event["body"], headers))

    def _end(self, close: Close | None = None) -> None:
        if not self._is_lost:
            self._is_lost = True
            if close is not None:
                self._inbox.put(close)
            self._inbox.end()

    # The client's side

    def send_text(self, text: str) -> None:
        """Send a text message to the application."""
        self._put({"type": "websocket.receive", "text": text})

    def send_binary(self, data: bytes) -> None:
        """Send a binary message to the application."""
        self._put({"type": "websocket.receive", "bytes": data})

    def close(self, code: int | None = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection; None for a close without a code."""
        self._put(_disconnect(Close(CloseCode.NO_STATUS if code is None else code, reason)))

    def abort(self) -> None:
        """Drop the connection without a close."""
        self._put({"type": "websocket.disconnect", "code": CloseCode.ABNORMAL})
        self._end()

    def pause_reading(self) -> None:
        """Take nothing more from the application."""
        self._inbox.pause()

    def resume_reading(self) -> None:
        """Take the messages that wait, and new ones from now on."""
        self._inbox.resume()

    async def receive(self, *, timeout: float = 5) -> str | bytes | Close:
        """Return the next message; the last one is a Close, with 1006 if the connection was lost.

        Raises:
            TimeoutError: there was none within ``timeout`` seconds.
            NotConnected: the connection is gone, and all that arrived on it has been received.
        """
        async with asyncio.timeout(timeout):
            return await self._inbox.next()

    def _put(self, event: Event) -> None:
        if not self._is_lost:
            self._events.put_nowait(event)


class MessageInbox:
    """Messages that a client has taken and not received yet."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[str | bytes | Close | None] = asyncio.Queue()  # None comes last
        self._size = 0
        self._is_paused = False
        self._is_closed = False
        self._is_ended = False
        self._takes_more = asyncio.Event()
        self._takes_more.set()

    async def until_it_takes_more(self) -> None:
        """Wait until the client takes another message, or has gone."""
        await self._takes_more.wait()

    def pause(self) -> None:
        """Take nothing more from the application."""
        self._is_paused = True
        self._update()

    def resume(self) -> None:
        """Take messages again, as long as few wait."""
        self._is_paused = False
        self._update()

    def put(self, message: str | bytes | Close) -> None:
        """Add a message from the application."""
        self._is_closed = isinstance(message, Close)
        self._size += _size(message)
        self._messages.put_nowait(message)
        self._update()

    def end(self) -> None:
        """Add the end of the connection."""
        if self._is_ended:
            return
        self._is_ended = True
        if not self._is_closed:
            self.put(Close(CloseCode.ABNORMAL, "the connection was lost"))
        self._messages.put_nowait(None)
        self._update()

    async def next(self) -> str | bytes | Close:
        """Return the next message; see :meth:`AsgiClient.receive`."""
        message = await self._messages.get()
        if message is None:
            self._messages.put_nowait(None)
            raise NotConnected("the connection is gone, and all that arrived on it was received")
        self._size -= _size(message)
        self._update()
        return message

    def _update(self) -> None:
        if self._is_ended or (not self._is_paused and self._size < CAPACITY):
            self._takes_more.set()
        else:
            self._takes_more.clear()


def _disconnect(close: Close) -> Event:
    return {"type": "websocket.disconnect", "code": close.code, "reason": close.reason}


def _size(message: str | bytes | Close) -> int:
    if isinstance(message, Close):
        return 0
    return len(message.encode()) if isinstance(message, str) else len(message)
