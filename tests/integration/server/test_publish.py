"""The publish endpoint over real sockets: curl, the requests of other programs as they send them, and Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from crosswire import Limits, Redis, Server
from crosswire.cluster.memory import MemoryBus
from crosswire.testing.reserved_port import ReservedPort
from crosswire.transport.picows_listener import PicowsListener
from tests.integration.server.support import WAIT_TIMEOUT, Peer, RawPeer, connect, make_server, raw_stream
from tests.integration.server.test_http_requests import KINDS, exchange
from tests.support.aio import wait_until
from tests.support.certificates import tls_contexts

KEY = "a-key-of-the-tests"
RECORDED = {
    path.stem: path.read_bytes() for path in (Path(__file__).parents[2] / "data" / "http_clients").glob("*.http")
}
NEWS = b'{"event":"news","data":{"text":"hi"},"everyone":true}'


def post(body: bytes, path: str = "/publish", method: str = "POST", **fields: str) -> bytes:
    """A request with the key; a field given as ``a_b`` replaces or adds ``a-b``, one given as "" is left out."""
    headers = {"host": "a", "authorization": f"Bearer {KEY}", "content-type": "application/json"}
    headers |= {"content-length": str(len(body))}
    headers |= {name.replace("_", "-"): value for name, value in fields.items()}
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value]
    return f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body


async def refusal(server: Server, *parts: bytes) -> tuple[int, str]:
    """The status and the code of the refusal of a request."""
    status, fields, body = await exchange(server, None, *parts)
    assert fields["content-type"] == "application/json"
    error = json.loads(body)["error"]
    assert error["message"]
    return status, error["code"]


@asynccontextmanager
async def publishing(users: Sequence[str] = (), **options: Any) -> AsyncIterator[tuple[Server, list[Peer]]]:
    """A server with the endpoint, and these users connected to it."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(make_server(publish_key=KEY, **options))
        yield server, [await stack.enter_async_context(connect(server, user)) for user in users]


async def run_curl(server: Server, *arguments: str) -> tuple[int, Any]:
    """Post with the program curl; return status and body."""
    url = f"http://127.0.0.1:{server.port}/publish"
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--write-out", "\n%{http_code}", *arguments, url]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), WAIT_TIMEOUT)
    assert process.returncode == 0
    body, _, status = output.decode().rpartition("\n")
    return int(status), json.loads(body)


async def test_what_is_posted_to_a_room_that_keeps_history_is_kept() -> None:
    async with publishing() as (server, _):
        server.history("chat", size=10, ttl=60)
        for text in ("a", "b"):
            content = {"event": "news", "data": text, "room": {"namespace": "chat", "id": "1"}, "exclude": ["13"]}
            status, _, answer = await exchange(server, None, post(json.dumps(content).encode()))
            assert (status, json.loads(answer)) == (200, {"sent": 1})
        last = await server.room("chat", "1").publish("news", "c")
        page = await server.room("chat", "1").history()
        assert [(each.event, each.data) for each in page.messages] == [("news", "a"), ("news", "b"), ("news", "c")]
        assert page.messages[-1].position == last


async def test_curl_sends_to_every_kind_of_audience() -> None:
    async with publishing(["13", "14", "15"]) as (server, [first, second, third]):
        await server.room("chat", "1").add("15")
        for audience, receivers in (
            ({"everyone": True}, (first, second, third)),
            ({"everyone": True, "exclude": ["13", "15"]}, (second,)),
            ({"user": "13"}, (first,)),
            ({"users": ["13", "14", "nobody"]}, (first, second)),
            ({"room": {"namespace": "chat", "id": "1"}}, (third,)),
        ):
            content = json.dumps({"event": "news", "data": {"text": "größer"}, **audience})
            answer = await run_curl(server, "--header", f"Authorization: Bearer {KEY}", "--json", content)
            assert answer == (200, {"sent": 1})
            for peer in receivers:
                assert await peer.event() == ("news", {"text": "größer"})
        for peer in (first, second, third):
            assert await peer.rest() == []


@pytest.mark.parametrize(
    "options",
    [["--http1.0"], ["--header", "Transfer-Encoding: chunked"], ["--header", "Expect: 100-continue"], ["--http2"]],
)
async def test_curl_sends_in_each_of_its_ways(options: list[str]) -> None:
    async with publishing(["13"]) as (server, [peer]):
        arguments = ["--header", f"Authorization: Bearer {KEY}", "--data", NEWS.decode(), *options]
        assert await run_curl(server, *arguments) == (200, {"sent": 1})
        assert await peer.event() == ("news", {"text": "hi"})


async def test_curl_waits_for_100_continue_before_a_large_body(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    large.write_text(json.dumps({"event": "news", "data": "x" * 2_000_000, "user": "13"}))
    arguments = ["--header", f"Authorization: Bearer {KEY}", "--json", f"@{large}", "--verbose"]
    async with publishing(["13"], limits=Limits(max_message=3_000_000, outbox=3_000_000)) as (server, [peer]):
        assert await run_curl(server, *arguments) == (200, {"sent": 1})
        assert await peer.event() == ("news", "x" * 2_000_000)
        assert (await run_curl(server, *arguments[2:]))[0] == 401
    async with publishing() as (server, _):
        status, answer = await run_curl(server, *arguments)
        assert (status, answer["error"]["code"]) == (413, "TOO_LARGE")


@pytest.mark.parametrize("program", sorted(RECORDED))
@pytest.mark.parametrize("kind", KINDS)
async def test_requests_of_other_programs_are_understood(program: str, kind: str, tmp_path: Path) -> None:
    server_tls, client_tls = tls_contexts(tmp_path) if kind == "tls" else (None, None)
    host = f"unix:{tmp_path}/s" if kind == "unix" else "127.0.0.1"
    request = RECORDED[program]
    head, _, body = request.partition(b"\r\n\r\n")
    async with publishing(host=host, tls=server_tls) as (server, _):
        for parts in ([request], [head + b"\r\n\r\n", body], [bytes((byte,)) for byte in request]):
            status, fields, answer = await exchange(server, client_tls, *parts)
            assert (status, fields["content-type"], json.loads(answer)) == (200, "application/json", {"sent": 1})


async def test_a_batch_is_sent_in_order_or_not_at_all() -> None:
    async with publishing(["13"]) as (server, [peer]):
        batch = [{"event": "count", "data": number, "user": "13"} for number in range(50)]
        status, _, answer = await exchange(server, None, post(json.dumps({"messages": batch}).encode()))
        assert (status, json.loads(answer)) == (200, {"sent": 50})
        assert [await peer.event() for _ in range(50)] == [("count", number) for number in range(50)]
        spoiled = [*batch, {"event": "", "user": "13"}]
        assert await refusal(server, post(json.dumps(spoiled).encode())) == (422, "INVALID_MESSAGE")
        assert await peer.rest() == []


REFUSED: list[tuple[bytes, int, str]] = [
    (post(NEWS, authorization=""), 401, "UNAUTHORIZED"),
    (post(NEWS, authorization="Bearer another-key"), 401, "UNAUTHORIZED"),
    (post(NEWS, authorization=f"Bearer {KEY}x"), 401, "UNAUTHORIZED"),
    (post(NEWS, authorization=f"Basic {KEY}"), 401, "UNAUTHORIZED"),
    (post(NEWS, authorization=KEY), 401, "UNAUTHORIZED"),
    (post(NEWS, authorization="Bearer ü"), 401, "UNAUTHORIZED"),
    (post(NEWS, path=f"/publish?key={KEY}", authorization=""), 401, "UNAUTHORIZED"),
    (post(NEWS, content_type="text/xml"), 415, "UNSUPPORTED_MEDIA_TYPE"),
    (post(NEWS, content_encoding="gzip"), 415, "UNSUPPORTED_MEDIA_TYPE"),
    (post(b"{"), 400, "INVALID_JSON"),
    (post(b""), 400, "INVALID_JSON"),
    (post(b"", content_length=""), 400, "INVALID_JSON"),
    (post(b"\xff"), 400, "INVALID_JSON"),
    (post(b'{"event":"news"}'), 422, "INVALID_MESSAGE"),
    (post(b"", method="GET"), 405, "METHOD_NOT_ALLOWED"),
    (post(NEWS, method="PUT"), 405, "METHOD_NOT_ALLOWED"),
    (post(NEWS, path="/publish/openapi.json"), 405, "METHOD_NOT_ALLOWED"),
]


@pytest.mark.parametrize(("request_", "status", "code"), REFUSED)
async def test_a_request_is_refused_with_a_code(request_: bytes, status: int, code: str) -> None:
    async with publishing(["13"]) as (server, [peer]):
        assert await refusal(server, request_) == (status, code)
        assert await peer.rest() == []


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.a+json", ""]
)
async def test_json_has_several_media_types(content_type: str) -> None:
    async with publishing() as (server, _):
        assert (await exchange(server, None, post(NEWS, content_type=content_type)))[0] == 200


async def test_any_of_several_keys_lets_in_and_none_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with make_server(publish_key=["the-former-key", "the-new-key"]) as server:
        for key in ("the-former-key", "the-new-key"):
            assert (await exchange(server, None, post(NEWS, authorization=f"bearer {key}")))[0] == 200
        assert await refusal(server, post(NEWS, authorization="Bearer a-wrong-key")) == (401, "UNAUTHORIZED")
    assert "refused with 401" in caplog.text
    assert "key" not in caplog.text.replace("publish_key", "")


HEAD = post(b"", content_length="3000000")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (HEAD, 413),
        (HEAD.replace(KEY.encode(), b"wrong-key"), 401),
        (HEAD.replace(b"/json", b"/xml"), 415),
        (HEAD.replace(b"POST", b"PUT"), 405),
        (HEAD.replace(b"/publish", b"/nothing"), 405),
    ],
)
async def test_a_refusal_does_not_wait_for_the_body(head: bytes, status: int) -> None:
    async with publishing() as (server, _), raw_stream(server) as peer:
        assert (await peer.request(head))[0] == status
        peer.writer.write(bytes(3_000_000))  # and may be sent nevertheless, without a reset
        assert await peer.body()


@pytest.mark.parametrize("size", [1000, 1001, 500_000])
async def test_a_body_in_chunks_is_limited_too(size: int) -> None:
    async with publishing(limits=Limits(max_message=1000)) as (server, _), raw_stream(server) as peer:
        body = NEWS.ljust(size)
        head = post(b"", content_length="", transfer_encoding="chunked")
        status, _ = await peer.request(head + b"%x\r\n%b\r\n0\r\n\r\n" % (size, body))
        assert status == (200 if size == 1000 else 413)


async def ends_without_answer(peer: RawPeer) -> bool:
    return not await peer.body()


async def test_a_body_that_does_not_come_ends_with_the_time_for_requests() -> None:
    limits = Limits(handshake_timeout=0.2)
    async with publishing(limits=limits) as (server, _), raw_stream(server) as peer:
        peer.writer.write(post(NEWS)[:-1])
        assert await ends_without_answer(peer)


async def test_a_peer_that_is_gone_before_its_body_leaves_nothing() -> None:
    async with publishing() as (server, _):
        listener = server._listener
        assert isinstance(listener, PicowsListener)
        async with raw_stream(server) as peer:
            peer.writer.write(post(NEWS)[:-1])
            await wait_until(lambda: len(listener._handshakes))
        await wait_until(lambda: not len(listener._handshakes))


async def test_an_invalid_chunk_is_400() -> None:
    async with publishing() as (server, _), raw_stream(server) as peer:
        head = post(b"", content_length="", transfer_encoding="chunked")
        assert (await peer.request(head + b"zz\r\n"))[0] == 400


async def test_the_description_is_served_to_anybody() -> None:
    async with publishing() as (server, _):
        request = b"GET /publish/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n"
        status, fields, body = await exchange(server, None, request)
        assert (status, fields["content-type"]) == (200, "application/json")
        assert json.loads(body)["paths"]["/publish"]["post"]["operationId"] == "publish"
        assert (await exchange(server, None, request.replace(b"GET", b"HEAD")))[0] == 200
        for path, allowed in (("/publish", "POST, OPTIONS"), ("/publish/openapi.json", "GET, HEAD, OPTIONS")):
            request = f"OPTIONS {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            status, fields, _ = await exchange(server, None, request)
            assert (status, fields["allow"]) == (204, allowed)


async def test_without_a_key_there_is_no_endpoint() -> None:
    async with make_server() as server:
        status, fields, _ = await exchange(server, None, post(NEWS))
        assert (status, fields["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert (await exchange(server, None, b"GET /publish/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 426


async def test_messages_reach_the_clients_of_other_servers() -> None:
    bus = MemoryBus()
    async with (
        make_server(publish_key=KEY, bus=bus) as server,
        Server("b", port=0, bus=bus) as other,
        connect(other) as peer,
    ):
        await server.cluster.wait_for_members()
        assert (await exchange(server, None, post(NEWS)))[0] == 200
        assert await peer.event() == ("news", {"text": "hi"})


async def test_503_says_that_no_more_fits_into_the_buffer_while_redis_is_away() -> None:
    away = ReservedPort()
    redis = Redis(f"redis://127.0.0.1:{away.number}", buffer=2000, overflow="raise")
    async with publishing(redis=redis) as (server, _):
        message = {"event": "news", "data": "x" * 600, "everyone": True}
        status, fields, body = await exchange(server, None, post(json.dumps([message] * 5).encode()))
        assert (status, fields["retry-after"]) == (503, "5")
        answer = json.loads(body)
        assert (answer["error"]["code"], answer["sent"]) == ("BUS_UNAVAILABLE", 2)


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{request.method} of the application")


@pytest.mark.parametrize("mount", ["", "/chat"])
async def test_as_an_asgi_application_it_is_the_same_below_the_mount(mount: str) -> None:
    server = Server(publish_key=KEY, limits=Limits(max_message=1000))
    app: Any = Starlette(routes=[Mount(mount, server.asgi)]) if mount else server.asgi
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://a{mount}") as http:
        assert (await http.get("/readyz")).status_code == 503
        answer = await http.post("/publish", content=NEWS, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "WS_NOT_OPEN")
        async with server.asgi.lifespan():
            assert (await http.get("/readyz")).json()["ready"] is True
            assert (await http.post("/publish", content=NEWS, headers=headers)).json() == {"sent": 1}
            assert (await http.post("/publish", content=NEWS)).status_code == 401
            too_large = await http.post("/publish", content=NEWS.ljust(1001), headers=headers)
            assert (too_large.status_code, too_large.json()["error"]["code"]) == (413, "TOO_LARGE")
            assert (await http.get("/publish/openapi.json")).json()["openapi"] == "3.1.0"


async def test_beside_an_application_on_the_port_it_is_the_servers() -> None:
    app = Starlette(routes=[Route("/{path:path}", page, methods=["GET", "POST"])])
    async with (
        publishing(["13"], app=app) as (server, [peer]),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as http,
    ):
        headers = {"Authorization": f"Bearer {KEY}"}
        for _ in range(2):  # on one connection, which is kept
            assert (await http.post("/publish", content=NEWS, headers=headers)).json() == {"sent": 1}
            assert await peer.event() == ("news", {"text": "hi"})
        assert (await http.post("/published", content=NEWS)).text == "POST of the application"
        assert (await http.get("/openapi.json")).text == "GET of the application"
        assert (await http.get("/publish/openapi.json")).json()["openapi"] == "3.1.0"
        assert (await http.get("/readyz")).json()["ready"] is True
