from __future__ import annotations

import asyncio

import pytest

from crosswire.core.limits import Limits
from crosswire.core.proxies import TrustedProxies
from crosswire.runtime.flusher import Flusher
from crosswire.transport.interface import HttpRequest, Response
from crosswire.transport.picows_listener import PicowsListener


class Refusing:
    """An ``Acceptor`` that lets nobody in."""

    def wants_body(self, request: HttpRequest) -> bool:
        return False

    def accept(self, request: HttpRequest) -> Response:
        return Response(404)


@pytest.mark.parametrize("turns", range(6))
async def test_a_listener_does_not_listen_whose_start_was_cancelled(turns: int) -> None:
    # With servers of the event loop, as with TLS.
    listener = PicowsListener(
        Refusing(), Limits(), Flusher(), host="127.0.0.1", port=0, header_senders=TrustedProxies(("127.0.0.1",))
    )
    await listener.bind()
    serving = asyncio.create_task(listener.serve())
    for _ in range(turns):
        await asyncio.sleep(0)
    serving.cancel()
    await asyncio.wait({serving})
    await listener.stop()
    await asyncio.sleep(0)
    await listener.end()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", listener.port)
