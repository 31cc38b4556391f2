"""A token is in no log record, no error, no repr, no metric and no span, wherever it came from and whatever fails."""

from __future__ import annotations

import asyncio
import logging
import urllib.request
from typing import Any

import jwt
import pytest
import websockets
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from crosswire import Client, NotConnected, Server
from crosswire.integrations.otel import instrument
from tests.integration.server.support import connect
from tests.integration.server.test_tokens import ALL_SOURCES, RENEWAL, answer_renewal, way_of
from tests.support.aio import wait_until
from tests.support.moved_clock import MovedClock
from tests.support.tokens import make_token, token_server

BAD = jwt.encode({"sub": "mallory", "exp": 1 << 33}, "another secret that is long enough", "HS256")


class Seen:
    """All that others can read of a server: its log, its spans, its metrics, and what it shows of itself."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        self._caplog = caplog
        self._spans = InMemorySpanExporter()
        self.tracing = TracerProvider()
        self.tracing.add_span_processor(SimpleSpanProcessor(self._spans))
        self._shown: list[str] = []

    def show(self, *values: object) -> None:
        for value in values:
            self._shown += [repr(value), str(value)]

    async def scrape(self, server: Server) -> None:
        url = f"http://127.0.0.1:{server.port}/metrics"
        self._shown.append(await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode()))

    def text(self) -> str:
        # The records of the package of the test's own peer are not ours.
        ours = [record for record in self._caplog.records if not record.name.startswith("websockets")]
        records = [f"{record.getMessage()} {record.__dict__}" for record in ours]
        records += [logging.Formatter().format(record) for record in ours]
        spans = [span.to_json() for span in self._spans.get_finished_spans()]
        return "\n".join([*records, *spans, *self._shown])

    def has_none_of(self, *tokens: str) -> None:
        text = self.text()
        assert "ada" in text, "there is something to look into"
        for token in tokens:
            for part in (token, *token.split(".")[1:]):
                assert part not in text


def watched_server(seen: Seen) -> Server:
    server = token_server(metrics=True, jwt_options=ALL_SOURCES)
    instrument(server, tracer_provider=seen.tracing)

    @server.on("fail")
    def fail(socket: Any) -> None:
        seen.show(socket, socket.handshake, socket.handshake.headers, socket.identity, socket._client)
        raise ZeroDivisionError

    return server


@pytest.mark.parametrize("source", ["header", "subprotocol", "query", "message"])
async def test_nothing_shows_a_token(
    source: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen, clock = Seen(caplog), MovedClock(monkeypatch)
    good, renewed = make_token(jti="j"), make_token(jti="k", lasts=600)
    server = watched_server(seen)
    async with server:
        for token in (good, BAD):
            way = {} if source == "message" else way_of(source, token)
            path = str(way.pop("path", "/"))
            path = f"{path}{'&' if '?' in path else '?'}_cw_renew=1"
            async with connect(server, path=path, **way) as peer:
                if source == "message":
                    await peer.send("authenticate", token)
                if token is BAD:
                    await peer.closed()
                    continue
                await peer.refused("fail")
                clock.advance(RENEWAL)
                await answer_renewal(peer, {"token": renewed})
                await peer.send_text(f"no json {'' if source == 'message' else '!'}")
                await peer.call("claims")
                await server.revoke(token_id="k")
                await peer.closed()
        await seen.scrape(server)
    seen.has_none_of(good, renewed, BAD)


async def test_a_hook_that_fails_shows_no_token(caplog: pytest.LogCaptureFixture) -> None:
    seen, token = Seen(caplog), make_token("ada")
    server = Server("ada's", port=0)
    server.authenticate(lambda handshake: handshake.query["id"])
    async with server:
        with pytest.raises(websockets.InvalidStatus):
            async with connect(server, path=f"/?token={token}"):
                pass
    seen.has_none_of(token)


@pytest.mark.parametrize("fails", ["refused", "no server", "no upgrade"])
async def test_the_client_shows_no_token_of_its_parameters(fails: str, caplog: pytest.LogCaptureFixture) -> None:
    seen = Seen(caplog)
    async with token_server(name="ada", origins=["https://example.com"]) as server:
        port = 9 if fails == "no server" else server.port
        headers = {"Origin": "https://elsewhere.example.com"} if fails == "no upgrade" else None
        client = Client(
            f"ws://127.0.0.1:{port}/", params={"token": BAD}, headers=headers, retry_limit=1, fast_interval=0.01
        )
        client.on_error(seen.show)
        client.on_close(lambda close: seen.show(close))
        instrument(client, tracer_provider=seen.tracing)
        with pytest.raises(NotConnected) as failure:
            await client.connect()
        seen.show(failure.value, failure.value.__cause__, client, vars(client.__class__))
        await client.close()
        await wait_until(lambda: True)
    seen.has_none_of(BAD)
