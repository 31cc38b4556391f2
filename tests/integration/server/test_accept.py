"""A route hands its WebSocket over: FastAPI, Starlette, Litestar, and a bare ASGI application; called in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, cast

import fastapi
import pytest
from litestar import Litestar
from litestar import websocket as litestar_websocket
from litestar.connection import WebSocket as LitestarWebSocket
from litestar.di import NamedDependency
from litestar.params import FromPath
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from crosswire import Client, Close, Handshake, Reject, Response, Server, Socket, UsageError
from crosswire.testing import asgi_client
from crosswire.testing.application import EventClient
from crosswire.testing.asgi_client import AsgiClient
from tests.support.aio import wait_until


def make_server(**options: Any) -> Server:
    server = Server(**options)
    server.on("who", lambda socket: socket.user)
    server.on("path", lambda socket: socket.handshake.path)
    return server


@pytest.fixture
def server() -> Server:
    return make_server()


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[None]:
    async with server.lifespan():
        yield


async def connect(application: Any, target: str, *fields: tuple[str, str]) -> EventClient:
    peer = await asgi_client.connect(application, target, fields)
    assert isinstance(peer, AsgiClient), peer
    return EventClient(cast(Any, peer))


def current_user(token: str) -> str:
    if token != "secret":
        raise fastapi.WebSocketException(code=1008)
    return "anna"


CurrentUser = Annotated[str, fastapi.Depends(current_user)]


def fastapi_application(server: Server) -> Any:
    app = fastapi.FastAPI()

    @app.websocket("/chat/{room}")
    async def chat(websocket: fastapi.WebSocket, room: str, user: CurrentUser) -> None:
        await server.accept(websocket, user=f"{user} in {room}")

    return app


def starlette_application(server: Server) -> Any:
    async def chat(websocket: WebSocket) -> None:
        await server.accept(websocket, user=f"anna in {websocket.path_params['room']}")

    return Starlette(routes=[WebSocketRoute("/chat/{room}", chat)])


def litestar_application(server: Server) -> Any:
    async def provide_user() -> str:
        return "anna"

    @litestar_websocket("/chat/{room:str}", dependencies={"user": provide_user})
    async def chat(socket: LitestarWebSocket[Any, Any, Any], room: FromPath[str], user: NamedDependency[str]) -> None:
        await server.accept(socket, user=f"{user} in {room}")

    return Litestar([chat], logging_config=None)


def bare_application(server: Server) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await server.accept(scope, receive, send, user=f"anna in {scope['path'].rpartition('/')[2]}")

    return application


def bare_application_with_a_tuple(server: Server) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await server.accept((scope, receive, send), user="anna in 7")

    return application


APPLICATIONS = [
    fastapi_application,
    starlette_application,
    litestar_application,
    bare_application,
    bare_application_with_a_tuple,
]


@pytest.mark.parametrize("make_application", APPLICATIONS)
async def test_a_route_hands_its_websocket_over_and_goes_on_when_it_is_closed(
    server: Server, make_application: Any
) -> None:
    async with running(server):
        client = await connect(make_application(server), "/chat/7?token=secret")
        assert await client.call("who") == "anna in 7"
        server.user("anna in 7").send("news", 1)
        assert (await client.receive("news")).data == 1
        assert await client.close(4000, "bye") == Close(4000, "bye")
        await cast(Any, client.peer).call
        assert server.socket_of("anna in 7") is None


@pytest.mark.parametrize("make_application", APPLICATIONS)
async def test_the_server_closes_what_was_handed_over(server: Server, make_application: Any) -> None:
    async with running(server):
        client = await connect(make_application(server), "/chat/7?token=secret")
        assert await client.call("who") == "anna in 7"
        await server.user("anna in 7").close(4000, "enough")
        assert await client.closed() == Close(4000, "enough")
        await cast(Any, client.peer).call


async def test_a_dependency_refuses(server: Server) -> None:
    async with running(server):
        answer = await asgi_client.connect(fastapi_application(server), "/chat/7?token=wrong")
        assert isinstance(answer, Response)
        assert answer.status == 403


@pytest.mark.parametrize("framework", ["Starlette", "Litestar"])
async def test_a_route_may_have_accepted_already(server: Server, framework: str) -> None:
    async def with_starlette(websocket: WebSocket) -> None:
        await websocket.accept()
        await server.accept(websocket, user="me")

    @litestar_websocket("/")
    async def with_litestar(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await server.accept(socket, user="me")

    starlette = Starlette(routes=[WebSocketRoute("/", with_starlette)])
    application: Any = starlette if framework == "Starlette" else Litestar([with_litestar], logging_config=None)
    async with running(server):
        client = await connect(application, "/", ("Sec-WebSocket-Protocol", "crosswire.msgpack"))
        assert client.peer.subprotocol is None
        assert await client.call("who") == "me"
        await client.close()
        await cast(Any, client.peer).call


def application_of(route: Any) -> Any:
    return Starlette(routes=[WebSocketRoute("/", route)])


async def test_without_a_user_authenticate_is_asked(server: Server) -> None:
    @server.authenticate
    async def who(handshake: Handshake) -> str:
        if "id" not in handshake.query:
            raise Reject(status=401, reason="who?")
        return handshake.query["id"]

    async with running(server):
        application = application_of(server.accept)
        answer = await asgi_client.connect(application, "/")
        assert isinstance(answer, Response)
        assert (answer.status, answer.body) == (401, b"who?")
        client = await connect(application, "/?id=9")
        assert await client.call("who") == "9"
        await client.close()


async def test_with_a_user_authenticate_is_not_asked(server: Server) -> None:
    @server.authenticate
    def who(handshake: Handshake) -> str:
        raise AssertionError("the user is known")

    async def route(websocket: WebSocket) -> None:
        await server.accept(websocket, user="me")

    async with running(server):
        client = await connect(application_of(route), "/")
        assert await client.call("who") == "me"
        await client.close()


async def test_what_is_refused_after_the_route_has_accepted_is_closed(server: Server) -> None:
    @server.authenticate
    def who(handshake: Handshake) -> str:
        raise Reject(status=int(handshake.query["status"]), reason="no")

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await server.accept(websocket)

    async with running(server):
        for status, code in ((401, 1008), (503, 1013), (500, 1011)):
            client = await connect(application_of(route), f"/?status={status}")
            assert await client.closed() == Close(code, "no")


async def test_a_route_that_is_cancelled_ends_the_connection(server: Server) -> None:
    closes: list[int] = []
    server.on_disconnect(lambda _socket, close: closes.append(close.code))

    deadlines: list[asyncio.Timeout] = []

    async def route(websocket: WebSocket) -> None:
        async with asyncio.timeout(None) as deadline:
            deadlines.append(deadline)
            await server.accept(websocket, user="me")

    async with running(server):
        client = await connect(application_of(route), "/")
        assert await client.call("who") == "me"
        deadlines[0].reschedule(0)  # the time is over now
        await wait_until(lambda: closes)
        assert server.socket_of("me") is None
        with pytest.raises(TimeoutError):
            await cast(Any, client.peer).call


async def test_a_server_on_certain_paths_takes_what_a_route_hands_over() -> None:
    server = make_server(path="/ws")
    async with running(server):
        client = await connect(application_of(server.accept), "/")
        assert await client.call("path") == "/"
        await client.close()


@pytest.mark.parametrize("user", ["", 7])
async def test_a_user_is_a_string(server: Server, user: Any) -> None:
    scope = asgi_client.make_scope("websocket", "/", [], "")
    async with running(server):
        with pytest.raises(UsageError, match="user"):
            await server.accept(scope, print, print, user=user)


async def test_only_websockets_are_taken(server: Server) -> None:
    async with running(server):
        for not_one in (None, "websocket", object(), (1, 2, 3), asgi_client.make_scope("websocket", "/", [], "")):
            with pytest.raises(UsageError, match="is no WebSocket"):
                await server.accept(not_one, user="me")
        with pytest.raises(UsageError, match="of the ASGI type 'http'"):
            await server.accept(asgi_client.make_scope("http", "/", [], ""), print, print, user="me")


async def test_a_websocket_that_was_closed_is_not_taken(server: Server) -> None:
    errors: list[UsageError] = []

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()
        with pytest.raises(UsageError) as error:
            await server.accept(websocket, user="me")
        errors.append(error.value)

    async with running(server):
        client = await connect(application_of(route), "/")
        assert (await client.closed()).code == 1000
        await wait_until(lambda: errors)
        assert "was closed or refused already" in str(errors[0])


async def test_a_server_that_was_not_started_says_which_line_is_missing(server: Server) -> None:
    with pytest.raises(UsageError, match=r"FastAPI\(lifespan=server.lifespan\)"):
        await asgi_client.connect(application_of(server.accept), "/")


async def test_a_server_that_has_stopped_refuses(server: Server) -> None:
    async with running(server):
        pass
    answer = await asgi_client.connect(application_of(server.accept), "/")
    assert isinstance(answer, Response)
    assert answer.status == 503


def test_a_server_of_another_event_loop_is_not_used(server: Server) -> None:
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(server.start(listen=False))
        with pytest.raises(UsageError, match="was started in another event loop"):
            second.run(asgi_client.connect(application_of(server.accept), "/"))
        first.run(server.stop())


async def test_data_of_the_socket_is_that_of_the_route(server: Server) -> None:
    sockets: list[Socket] = []
    server.on_connect(sockets.append)
    async with running(server):
        client = await connect(fastapi_application(server), "/chat/7?token=secret", ("X-One", "1"))
        await wait_until(lambda: sockets)
        assert sockets[0].handshake.query == {"token": "secret"}
        assert sockets[0].handshake.path == "/chat/7"
        assert sockets[0].handshake.headers["x-one"] == "1"
        await client.close()


async def test_a_route_of_the_application_on_the_servers_own_port_hands_over() -> None:
    async def route(websocket: WebSocket) -> None:
        await shared.accept(websocket, user="of the route")

    shared = make_server(port=0, path="/ws", app=Starlette(routes=[WebSocketRoute("/route", route)]))
    async with shared:
        base = f"ws://127.0.0.1:{shared.port}"
        async with Client(f"{base}/ws") as own, Client(f"{base}/route") as handed_over:
            assert await handed_over.call("who") == "of the route"
            heard: list[object] = []
            own.on("news", heard.append)
            handed_over.on("news", heard.append)
            shared.everyone.send("news", 1)
            await wait_until(lambda: heard == [1, 1])
