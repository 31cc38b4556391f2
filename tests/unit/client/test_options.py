from __future__ import annotations

import asyncio
from math import inf
from typing import Any

import pytest

from crosswire.client import Client
from crosswire.errors import ConfigError, CrosswireError, NotConnected, UsageError
from crosswire.types import Close

URL = "ws://localhost:9"
NAN = float("nan")


@pytest.mark.parametrize(
    "options",
    [
        {"ping_interval": 0},
        {"ping_interval": -1},
        {"ping_interval": True},
        {"ping_interval": "10"},
        {"ping_interval": NAN},
        {"pong_timeout": 0},
        {"pong_timeout": None},
        {"ping_text": None},
        {"ping_text": b""},
        {"call_timeout": 0},
        {"call_timeout": inf},
        {"pending_after": -1},
        {"fast_retries": -1},
        {"fast_retries": 1.5},
        {"fast_interval": -1},
        {"max_interval": NAN},
        {"retry_limit": -1},
        {"retry_limit": True},
        {"reconnect_policy": True},
        {"params": {"id": None}},
        {"headers": {"Evil\r\n": "x"}},
        {"headers": {"X": "a\r\nEvil: b"}},
        {"ping_text": "\ud800"},
        {"params": "id=13"},
        {"params": [("id", "13")]},
        {"headers": "Authorization"},
        {"stable_after": -1},
        {"stable_after": NAN},
        {"stable_after": None},
        {"headers": {"X": 1}},
        {"headers": {"X": "€"}},
        {"headers": {"Upgrade": "h2c"}},
        {"headers": {"Sec-WebSocket-Key": "x"}},
        {"subprotocols": "chat"},
        {"subprotocols": ["a b"]},
        {"subprotocols": [1]},
    ],
    ids=str,
)
def test_an_option_that_cannot_work_is_refused_when_the_client_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Client(URL, **options)


def test_a_policy_that_can_never_be_asked_is_refused() -> None:
    class Later:
        async def __call__(self, close: Close) -> bool:
            return await asyncio.sleep(0, close.code == 1000)

    policies: list[Any] = [lambda: True, asyncio.sleep, Later()]
    for policy in policies:
        with pytest.raises(ConfigError, match="reconnect_policy"):
            Client(URL, reconnect_policy=policy)
    Client(URL, reconnect_policy=bool)


@pytest.mark.parametrize("option", ["params", "headers"])
def test_a_function_that_needs_arguments_is_refused_when_the_client_is_made(option: str) -> None:
    def positional(attempt: int) -> None: ...

    def keyword(*, token: str) -> None: ...

    for function in (positional, keyword):
        with pytest.raises(ConfigError, match=option):
            Client(URL, **{option: function})  # type: ignore[arg-type]
    Client(URL, **{option: lambda attempt=1, *rest, **others: {}})  # type: ignore[arg-type]


def test_extreme_options_that_work_are_accepted() -> None:
    client = Client(
        URL,
        ping_interval=None,
        pending_after=0,
        fast_retries=0,
        fast_interval=0,
        max_interval=0,
        retry_limit=0,
        stable_after=0,
    )
    assert client.ping_interval is None
    assert client.latency is None
    assert not client.reconnecting


def test_a_secret_header_is_not_shown_in_the_error() -> None:
    with pytest.raises(ConfigError) as caught:
        Client(URL, headers={"Authorization": "sec\nret"})
    assert "ret" not in str(caught.value).replace("breaks", "")


@pytest.mark.parametrize("seconds", [0, -1, "1", False, NAN])
def test_the_ping_interval_is_checked_when_it_is_set(seconds: Any) -> None:
    client = Client(URL)
    with pytest.raises(ConfigError):
        client.ping_interval = seconds
    assert client.ping_interval == 10


@pytest.mark.parametrize("name", ["", "$join", 1, None, b"say", "\ud800"])
async def test_a_name_that_cannot_be_an_event_is_refused_where_it_is_given(name: Any) -> None:
    client = Client(URL)

    with pytest.raises(UsageError):
        client.send(name)
    with pytest.raises(UsageError):
        client.on(name, print)
    with pytest.raises(UsageError):
        client.off(name)
    with pytest.raises(UsageError):
        await client.call(name)


def test_a_handler_must_be_callable() -> None:
    with pytest.raises(UsageError):
        Client(URL).on("say", 1)  # type: ignore[call-overload]


async def test_a_client_that_was_never_connected_cannot_send() -> None:
    client = Client(URL)

    with pytest.raises(NotConnected) as caught:
        client.send("say")
    assert caught.value.code == "WS_NOT_OPEN"
    assert isinstance(caught.value, CrosswireError)
    with pytest.raises(NotConnected):
        await client.call("say")


async def test_a_client_that_was_never_connected_can_be_closed() -> None:
    await Client(URL).close()
