from __future__ import annotations

from typing import Any

import pytest

from crosswire.cluster.node import Node
from crosswire.core.proxies import TrustedProxies
from crosswire.server.plain_http import PlainRoutes
from crosswire.server.port_requests import PortRequests

PROXIES = TrustedProxies(("10.0.0.1", "unix"))


class Recorder:
    """An application that keeps the scopes it is called with."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)


async def ask(proxies: TrustedProxies | None = None, **scope: Any) -> tuple[str, Any]:
    """Return who answers a request, and the scope that it got."""
    app, own = Recorder(), Recorder()
    routes = PlainRoutes(Node())
    routes.add("/page", lambda: "")
    usual = {"type": "http", "path": "/", "client": ("10.0.0.1", 1000), "scheme": "http", "headers": []}
    await PortRequests(app, own, routes, proxies)({**usual, **scope}, None, None)
    return ("app", app.scopes[0]) if app.scopes else ("own", own.scopes[0])


@pytest.mark.parametrize(
    ("scope", "who"),
    [
        ({}, "app"),
        ({"path": "/page"}, "own"),
        ({"path": "/healthz"}, "own"),
        ({"path": "/readyz"}, "own"),
        ({"path": "/page/"}, "app"),
        ({"path": "/publish"}, "app"),
        ({"path": "/page", "type": "websocket", "scheme": "ws"}, "app"),
    ],
)
async def test_who_answers(scope: dict[str, Any], who: str) -> None:
    for proxies in (None, PROXIES):
        assert (await ask(proxies, **scope))[0] == who


FORWARDED = [(b"x-forwarded-for", b"1.2.3.4"), (b"x-forwarded-proto", b"https")]


@pytest.mark.parametrize(
    ("scope", "client", "scheme"),
    [
        ({}, ("10.0.0.1", 1000), "http"),
        ({"headers": FORWARDED}, ("1.2.3.4", 0), "https"),
        ({"headers": FORWARDED, "client": None}, ("1.2.3.4", 0), "https"),
        ({"headers": FORWARDED, "type": "websocket", "scheme": "ws"}, ("1.2.3.4", 0), "wss"),
        ({"headers": FORWARDED, "client": ("9.9.9.9", 1)}, ("9.9.9.9", 1), "http"),
        ({"headers": FORWARDED[1:]}, ("10.0.0.1", 1000), "https"),
        (
            {"headers": [(b"x-forwarded-proto", b"http")], "type": "websocket", "scheme": "wss"},
            ("10.0.0.1", 1000),
            "ws",
        ),
    ],
)
async def test_trusted_proxies_name_the_client(scope: dict[str, Any], client: Any, scheme: str) -> None:
    _, got = await ask(PROXIES, **scope)
    assert (got["client"], got["scheme"]) == (client, scheme)


async def test_without_trusted_proxies_nobody_names_the_client() -> None:
    _, got = await ask(None, headers=FORWARDED)
    assert (got["client"], got["scheme"]) == (("10.0.0.1", 1000), "http")
