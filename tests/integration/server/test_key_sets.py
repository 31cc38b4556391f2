"""A key set over HTTP: fetched beside the event loop, within limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from crosswire import Server
from crosswire.integrations import jwt_keys
from crosswire.integrations.jwt import JwtAuthentication
from tests.integration.server.support import connect

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
TOKEN = jwt.encode({"sub": "ada", "exp": 1 << 33}, KEY, "RS256", {"kid": "a"})
KEY_SET = json.dumps({"keys": [{**json.loads(RSAAlgorithm.to_jwk(KEY.public_key())), "kid": "a"}]})


@asynccontextmanager
async def key_server(*answers: bytes) -> AsyncIterator[str]:
    """An HTTP server on a free port that gives one answer after the other, the last one again and again."""
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"


def response(body: str, status: str = "200 OK", *fields: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *fields, "", ""])
    return (head + body).encode()


async def outcome_of(url: str) -> tuple[int, str]:
    """How a client with a good token fares: 0 if it is let in, else the code and the reason of the close."""
    server = Server("test", port=0)
    server.authenticate(JwtAuthentication(jwks=url, algorithms=["RS256"]))
    server.on("me", lambda socket: socket.user)
    async with server, connect(server, path=f"/?token={TOKEN}") as peer:
        try:
            assert await peer.call("me") == "ada"
        except Exception:  # noqa: BLE001 - of the websockets package
            return await peer.closed()
        return 0, ""


async def test_a_key_set_is_fetched() -> None:
    async with key_server(response(KEY_SET)) as url:
        assert await outcome_of(url) == (0, "")


@pytest.mark.parametrize("failure", ["not found", "elsewhere", "too large", "no HTTP"])
async def test_a_key_set_that_is_no_good_lets_nobody_in(failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt_keys, "MAX_KEY_SET", 10_000)
    async with key_server(response(KEY_SET)) as elsewhere:
        answers = {
            "not found": response(KEY_SET, "404 Not Found"),
            "elsewhere": response("", "302 Found", f"Location: {elsewhere}"),
            "too large": response(KEY_SET + " " * 10_000),
            "no HTTP": b"?\r\n\r\n",
        }
        async with key_server(answers[failure]) as url:
            assert await outcome_of(url) == (4011, "the token is signed with an unknown key")
