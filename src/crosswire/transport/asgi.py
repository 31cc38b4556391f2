"""WebSockets of an ASGI server: each ASGI call carries one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from crosswire.transport.asgi_connection import AsgiConnection, Receive
from crosswire.transport.asgi_http import Scope, make_request, refuse_websocket
from crosswire.transport.asgi_writer import Send
from crosswire.transport.interface import Accepted, AsyncAcceptor, Response
from crosswire.transport.listener_context import ListenerContext
from crosswire.types import CloseCode

_MAX_REASON = 123
"""Bytes of the reason of a Close (RFC 6455, section 5.5)."""
_RETRIED, _SERVER_ERRORS = (429, 503), 500


@dataclass(frozen=True, slots=True)
class AsgiCall:
    """A call of an ASGI application for a WebSocket.

    Attributes:
        scope: of the call.
        receive: of the call.
        send: of the call.
        is_begun: whether ``websocket.connect`` was received.
        is_accepted: whether ``websocket.accept`` was sent.
        is_routed: whether a route of an application hands it over.
    """

    scope: Scope
    receive: Receive
    send: Send
    is_begun: bool = False
    is_accepted: bool = False
    is_routed: bool = False


class AsgiWebSockets:
    """Serves the WebSockets of ASGI calls.

    Args:
        acceptor: decides about every request.
        context: limits and flusher of the connections.
    """

    def __init__(self, acceptor: AsyncAcceptor, context: ListenerContext) -> None:
        self._acceptor = acceptor
        self._context = context

    async def serve(self, call: AsgiCall, user: str | None = None) -> None:
        """Accept a WebSocket and return when it is closed; or refuse it.

        Args:
            call: of the WebSocket.
            user: of the connection, if it is known.
        """
        if not call.is_begun and (await call.receive())["type"] != "websocket.connect":
            return  # the client has gone
        request = make_request(call.scope)
        decision = await self._acceptor.decide(request, user, routed=call.is_routed, upgraded=call.is_accepted)
        if isinstance(decision, Response):
            await _refuse(call, decision)
            return
        if not call.is_accepted:
            await call.send(_accept_event(decision))
            refusal = self._acceptor.refuse_late()
            if refusal is not None:
                await _refuse(replace(call, is_accepted=True), refusal)
                return
        await AsgiConnection(decision.receiver, call.receive, call.send, self._context).run()


def _accept_event(accepted: Accepted) -> dict[str, object]:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in accepted.headers.items()]
    return {"type": "websocket.accept", "subprotocol": accepted.subprotocol, "headers": headers}


async def _refuse(call: AsgiCall, response: Response) -> None:
    """Refuse a WebSocket; one that was accepted already is closed with the code that says the same."""
    if not call.is_accepted:
        await refuse_websocket(call.scope, call.send, response)
        return
    code = CloseCode.POLICY
    if response.status in _RETRIED:
        code = CloseCode.TRY_AGAIN_LATER
    elif response.status >= _SERVER_ERRORS:
        code = CloseCode.INTERNAL_ERROR
    reason = response.body[:_MAX_REASON].decode("utf-8", "ignore")
    await call.send({"type": "websocket.close", "code": int(code), "reason": reason})
