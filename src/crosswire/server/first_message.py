"""The wait for the first message of a client that has its token."""

from __future__ import annotations

import asyncio
from typing import Any

from crosswire.core.codecs import Codec
from crosswire.core.payload_types import ANY
from crosswire.errors import InvalidMessage, InvalidPayload, Reject
from crosswire.types import CloseCode

TOKEN_EVENT = "authenticate"
"""Event of the message with the token of a client, which may also be a call."""


_NO_TOKEN = f"the first message has to be the event {TOKEN_EVENT!r}, with a token"


class FirstMessageWait:
    """Wait for the first message of a client, which is not handed to the application.

    Attributes:
        call_id: id of the call, if it was one: it is answered when the client is let in.
    """

    __slots__ = ("_message", "call_id")

    def __init__(self) -> None:
        message: asyncio.Future[tuple[Codec, str | bytes]] = asyncio.get_running_loop().create_future()
        self._message: asyncio.Future[tuple[Codec, str | bytes]] | None = message
        self.call_id: str | None = None

    def take(self, codec: Codec, data: str | bytes) -> bool:
        """Take a message; return False if an earlier one was taken."""
        if self._message is None or self._message.done():
            return False
        self._message.set_result((codec, data))
        return True

    async def payload(self) -> Any:
        """Wait for the message, and return its payload.

        Raises:
            Reject: it is not the event that it has to be.
        """
        assert self._message is not None, "it is called once"
        codec, data = await self._message
        self._message = None  # neither the message nor its token is kept
        try:
            message = codec.decode(data)
            payload = codec.payload(ANY, message.payload)
        except (InvalidMessage, InvalidPayload):
            raise Reject(CloseCode.AUTH_FAILED, _NO_TOKEN) from None
        if message.event != TOKEN_EVENT:
            raise Reject(CloseCode.AUTH_FAILED, _NO_TOKEN)
        self.call_id = message.callback_id
        return payload
