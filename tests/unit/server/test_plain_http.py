from __future__ import annotations

import json
from typing import Any

import pytest

from crosswire import Server
from crosswire.core.headers import Headers
from crosswire.errors import ConfigError
from crosswire.server.handshake import Handshake
from crosswire.server.plain_http import PlainRoutes
from crosswire.transport.interface import Response


class FakeNode:
    def __init__(self, running: bool = True, bus_available: bool = True) -> None:
        self.running = running
        self.bus_available = bus_available


def get(routes: PlainRoutes, target: str, *, draining: bool = False) -> Response:
    return routes.answer(Handshake(target, Headers(), "127.0.0.1"), draining=draining)


@pytest.fixture
def routes() -> PlainRoutes:
    return PlainRoutes(FakeNode())


def test_health_is_built_in(routes: PlainRoutes) -> None:
    answer = get(routes, "/healthz?probe=1")
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}')
    assert answer.headers == {"Content-Type": "application/json"}


def test_a_server_that_drains_is_alive(routes: PlainRoutes) -> None:
    assert get(routes, "/healthz", draining=True) == get(routes, "/healthz")


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("redis", [True, False])
@pytest.mark.parametrize("draining", [True, False])
def test_readiness_says_what_is_missing(joined: bool, redis: bool, draining: bool) -> None:
    answer = get(PlainRoutes(FakeNode(joined, redis)), "/readyz", draining=draining)
    ready = joined and redis and not draining
    assert answer.status == (200 if ready else 503)
    assert json.loads(answer.body) == {"ready": ready, "joined": joined, "redis": redis, "draining": draining}
    assert answer.headers == {"Content-Type": "application/json"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_and_readiness_can_be_replaced(routes: PlainRoutes, path: str) -> None:
    routes.add(path, lambda: "fine")
    assert get(routes, path, draining=True) == Response(body=b"fine")


def test_any_other_path_asks_for_a_websocket(routes: PlainRoutes) -> None:
    answer = get(routes, "/healthz/more")
    assert (answer.status, answer.headers) == (426, {"Upgrade": "websocket"})


PAGE = Response(404, b"nothing here", {"X-A": "b"})


@pytest.mark.parametrize(
    ("returned", "answer"),
    [
        ("größer", Response(200, "größer".encode())),
        (b"\0\1", Response(200, b"\0\1", {"Content-Type": "application/octet-stream"})),
        (PAGE, PAGE),
        ({"a": [1]}, Response(200, b'{"a":[1]}', {"Content-Type": "application/json"})),
        (None, Response(200, b"null", {"Content-Type": "application/json"})),
    ],
)
def test_the_return_value_of_a_handler_is_the_answer(routes: PlainRoutes, returned: Any, answer: Response) -> None:
    routes.add("/page", lambda: returned)
    assert get(routes, "/page?x=1") == answer


def test_a_handler_gets_the_request_if_it_wants_it(routes: PlainRoutes) -> None:
    routes.add("/größer", lambda request: request.query["x"])
    assert get(routes, "/gr%C3%B6%C3%9Fer?x=1").body == b"1"


@pytest.mark.parametrize("returned", [object(), "\ud800", {"a": object()}])
def test_an_answer_that_cannot_be_sent_is_a_failure(
    routes: PlainRoutes, returned: Any, caplog: pytest.LogCaptureFixture
) -> None:
    routes.add("/page", lambda: returned)
    assert (get(routes, "/page").status, len(caplog.records)) == (500, 1)


def test_a_handler_that_fails_is_logged_without_the_query(
    routes: PlainRoutes, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> str:
        raise KeyError("reason")

    routes.add("/page", fail)
    answer = get(routes, "/page?token=secret")
    assert (answer.status, answer.body) == (500, b"the handler failed")
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("crosswire.http", "the handler of /page failed")
    assert "secret" not in caplog.text


@pytest.mark.parametrize("path", ["", "page", "http://a/page"])
def test_a_path_starts_with_a_slash(routes: PlainRoutes, path: str) -> None:
    with pytest.raises(ConfigError, match="starts with a slash"):
        routes.add(path, lambda: "")


@pytest.mark.parametrize("path", ["/a?b", "/a#b", "/gr%C3%B6%C3%9Fer", "/a%20b"])
def test_a_path_that_can_never_match_is_refused(routes: PlainRoutes, path: str) -> None:
    with pytest.raises(ConfigError, match="can never match"):
        routes.add(path, lambda: "")


@pytest.mark.parametrize("path", ["/publish", "/publish/openapi.json"])
def test_the_paths_of_the_publish_endpoint_are_free_without_a_key(path: str) -> None:
    Server(port=0).get(path, lambda: "")
    with pytest.raises(ConfigError, match="belongs to the publish endpoint"):
        Server(port=0, publish_key="a-key-of-the-tests").get(path, lambda: "")


def test_a_handler_is_synchronous(routes: PlainRoutes) -> None:
    async def handler() -> str:
        return ""

    with pytest.raises(ConfigError, match="must be synchronous"):
        routes.add("/page", handler)
    assert get(routes, "/page").status == 426


def test_a_page_without_a_path_is_refused_where_it_is_registered() -> None:
    with pytest.raises(ConfigError, match=r"write @server\.get\('/path'\)"):

        @Server(port=0).get  # type: ignore[call-overload]
        def page() -> str:
            return "x"

    with pytest.raises(ConfigError, match="starts with a slash"):
        Server(port=0).get("metrics")
