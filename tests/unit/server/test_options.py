from __future__ import annotations

import ssl
from typing import Any

import pytest

from crosswire import Client, ConfigError, Heartbeat, Limits, Node, Redis, Server
from crosswire.cluster.memory import MemoryBus

CLIENT = ssl.create_default_context()
SERVER = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
URL = "redis://127.0.0.1:6379"

SERVERS: list[tuple[dict[str, Any], str]] = [
    ({"heartbeat": 5}, "Heartbeat"),
    ({"heartbeat": None}, "Heartbeat"),
    ({"heartbeat": Heartbeat}, "Heartbeat"),
    ({"limits": {}}, "Limits"),
    ({"limits": None}, "Limits"),
    ({"limits": {"rooms": 5}}, "Limits"),
    ({"tls": True}, "SSLContext"),
    ({"tls": "cert.pem"}, "SSLContext"),
    ({"tls": ("cert.pem", "key.pem")}, "SSLContext"),
    ({"tls": CLIENT}, "client"),
    ({"publish_key": ""}, "fewer than 6"),
    ({"publish_key": "short"}, "fewer than 6"),
    ({"publish_key": "long enough"}, "space"),
    ({"publish_key": "größer"}, "ASCII"),
    ({"publish_key": ["fine-key", "short"]}, "number 2"),
    ({"publish_key": ["fine-key", "fine-key"]}, "twice"),
    ({"publish_key": []}, "lets nobody in"),
    ({"publish_key": b"fine-key"}, "list of strings"),
    ({"publish_key": 123456}, "list of strings"),
    ({"bus": object()}, "bus"),
    ({"bus": MemoryBus}, "bus"),
    ({"bus": URL}, "redis="),
    ({"bus": MemoryBus(), "redis": URL}, "not both"),
    ({"host": None}, "host=None"),
    ({"host": 5}, "host=5"),
    ({"host": "*"}, "give '' for all addresses"),
    ({"host": b"127.0.0.1"}, "host"),
    ({"host": ("127.0.0.1", 80)}, "host"),
    ({"host": "http://0.0.0.0"}, "scheme"),
    ({"host": "ws://localhost:9000"}, "scheme"),
    ({"host": "0.0.0.0:9000"}, "port=9000"),
    ({"host": "localhost:80"}, "port=80"),
    ({"host": "localhost:"}, "port"),
    ({"host": "[::1]"}, "brackets"),
    ({"host": "[::1]:80"}, "brackets"),
    ({"host": "::zz"}, "IPv6"),
    ({"host": "a b"}, "characters"),
    ({"host": " "}, "characters"),
    ({"host": "localhost/"}, "characters"),
    ({"host": "local\nhost"}, "characters"),
    ({"host": "/run/app.sock"}, "unix:/path"),
    ({"host": "unix:"}, "path"),
    ({"host": "unix:/a?mode=999"}, "mode"),
    ({"host": "unix:/" + "a" * 200}, "bytes"),
    ({"host": "unix:/a", "reuse_port": True}, "reuse_port"),
    ({"port": 65536}, "65535"),
    ({"port": -1}, "65535"),
    ({"port": True}, "65535"),
    ({"port": "9000"}, "65535"),
    ({"port": 9000.0}, "65535"),
    ({"port": None}, "65535"),
    ({"reuse_port": 1}, "True or False"),
    ({"reuse_port": "yes"}, "True or False"),
    ({"compression": "yes"}, "True or False"),
    ({"path": "ws"}, "never match"),
    ({"path": "/a%20b"}, "never match"),
    ({"path": "/ws?v=1"}, "never match"),
    ({"path": ["/ws", "chat"]}, "never match"),
    ({"path": ["/ws", "/ws"]}, "twice"),
    ({"path": []}, "nobody"),
    ({"path": 5}, "list of strings"),
    ({"compression": None}, "True or False"),
    ({"compression": 6}, "True or False"),
    ({"duplicates": "replce"}, "Did you mean 'replace'"),
    ({"duplicates": "Refuse"}, "Did you mean 'refuse'"),
    ({"duplicates": None}, "'allow'"),
    ({"duplicates": ["allow"]}, "'allow'"),
    ({"origins": "https://a.com"}, "collection"),
    ({"origins": []}, "no browser"),
    ({"origins": [5]}, "string"),
    ({"origins": {"https://a.com/": 1, "a.com": 2}}, "scheme"),
    ({"origins": 5}, "list"),
    ({"origins": True}, "list"),
    ({"name": ""}, "name"),
    ({"name": " "}, "name"),
    ({"name": 5}, "name"),
    ({"name": "a\nb"}, "name"),
    ({"name": "a\0"}, "name"),
    ({"name": "\ud800"}, "name"),
    ({"name": "x" * 1000}, "name"),
    ({"redis": ""}, "redis://"),
    ({"redis": []}, "at least one"),
    ({"redis": "embeded"}, r"://\. Did you mean 'embedded'\? It is"),
    ({"redis": "Embedded"}, "Did you mean 'embedded'"),
    ({"redis": "localhost:6379"}, "redis://"),
    ({"redis": "redi://localhost"}, "Did you mean 'redis'"),
    ({"redis": "http://localhost"}, "redis://"),
    ({"redis": "redis://localhost:0"}, "port 0"),
    ({"redis": [URL, URL]}, "twice"),
    ({"redis": 5}, "url"),
    ({"redis": True}, "url"),
    ({"redis": {}}, "at least one"),
]


@pytest.mark.parametrize(("options", "advice"), SERVERS, ids=range(len(SERVERS)))
def test_an_option_that_can_never_work_is_refused_with_advice(options: dict[str, Any], advice: str) -> None:
    with pytest.raises(ConfigError, match=advice):
        Server(**options)
    shared = {name: value for name, value in options.items() if name in ("name", "redis", "bus")}
    if shared == options:
        with pytest.raises(ConfigError, match=advice):
            Node(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"host": ""},
        {"host": "::1"},
        {"host": "fe80::1%eth0"},
        {"host": "my_host.example"},
        {"host": "unix:/run/a.sock?mode=660"},
        {"tls": SERVER},
        {"tls": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)},
        {"origins": ["*"]},
        {"origins": {"https://*.example.com"}},
        {"origins": ("https://Example.com:443/",)},
        {"name": "Knoten 7 (größer)"},
        {"redis": ["embedded", URL]},
        {"bus": MemoryBus()},
        {"reuse_port": True, "port": 0},
    ],
)
def test_an_option_that_can_work_is_accepted(options: dict[str, Any]) -> None:
    Server(**options)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"strategy": "hsah"}, "Did you mean 'hash'"),
        ({"strategy": "roundrobin"}, "Did you mean 'round-robin'"),
        ({"delivery": "redundent"}, "Did you mean 'redundant'"),
        ({"overflow": "rais"}, "Did you mean 'raise'"),
        ({"delivery": "redundant"}, "two urls"),
        ({"prefix": ""}, "prefix"),
        ({"prefix": "a b"}, "prefix"),
        ({"prefix": "a\n"}, "prefix"),
        ({"prefix": "x" * 1000}, "prefix"),
        ({"compat": "yes"}, "True or False, or Compat"),
    ],
)
def test_options_of_redis(options: dict[str, Any], advice: str) -> None:
    with pytest.raises(ConfigError, match=advice):
        Redis(URL, **options)


@pytest.mark.parametrize(
    ("url", "options", "advice"),
    [
        ("http://localhost", {}, "ws://"),
        ("ws://localhost", {"tls": CLIENT}, "wss://"),
        ("wss://localhost", {"tls": True}, "SSLContext"),
        ("wss://localhost", {"tls": SERVER}, "server"),
        ("ws://localhost", {"subprotocols": "v2"}, "sequence"),
        ("ws://localhost", {"subprotocols": 5}, "sequence"),
        ("ws://localhost", {"subprotocols": ["a", "a"]}, "twice"),
        ("ws://localhost", {"params": "id=13"}, "mapping"),
        ("ws://localhost", {"params": [("id", "13")]}, "mapping"),
        ("ws://localhost", {"headers": [("a", "b")]}, "mapping"),
        ("ws://localhost", {"headers": {"Sec-WebSocket-Protocol": "v2"}}, "subprotocols"),
        ("ws://localhost", {"headers": {"Upgrade": "x"}}, "itself"),
        ("ws://localhost", {"ping_text": None}, "ping_text"),
        ("ws://localhost", {"ping_text": "\ud800"}, "ping_text"),
        ("ws://localhost", {"fast_retries": -1}, "fast_retries"),
        ("ws://localhost", {"fast_retries": True}, "fast_retries"),
        ("ws://localhost", {"retry_limit": 1.5}, "retry_limit"),
        ("ws://localhost", {"ping_interval": float("nan")}, "ping_interval"),
        ("ws://localhost", {"call_timeout": 0}, "call_timeout"),
        ("ws://localhost", {"max_interval": float("inf")}, "max_interval"),
    ],
)
def test_options_of_a_client(url: str, options: dict[str, Any], advice: str) -> None:
    with pytest.raises(ConfigError, match=advice):
        Client(url, **options)


@pytest.mark.parametrize("value", [True, 0, -1, 1.5, "5", None, float("nan"), float("inf"), [5]])
def test_limits_are_numbers(value: Any) -> None:
    with pytest.raises(ConfigError, match="Limits"):
        Limits(outbox=value)
