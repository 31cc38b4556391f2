from __future__ import annotations

import pytest
from django.test import override_settings

from crosswire.core.headers import Headers
from crosswire.django.page_origins import may_use_cookies
from crosswire.server.handshake import Handshake


def handshake(origin: str | None, host: str = "chat.test", scheme: str = "https") -> Handshake:
    fields = [("host", host), *([] if origin is None else [("origin", origin)])]
    return Handshake("/", Headers(fields), "10.0.0.9", scheme=scheme)


@pytest.mark.parametrize(
    "origin", ["https://chat.test", "https://chat.test:8443", "https://CHAT.test", "https://a.b.parts.test", None]
)
@override_settings(ALLOWED_HOSTS=["chat.test", ".parts.test"])
def test_pages_of_allowed_hosts_may(origin: str | None) -> None:
    assert may_use_cookies(handshake(origin))


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.test", "https://chat.test.evil.test", "https://evilchat.test", "https://sub.chat.test"),
        *("null", "", "chat.test", "https://", "file://chat.test", "https://[chat.test", "https://chat.test@evil.test"),
        *("https://chat.test evil.test", "https://evil.test/chat.test", "https://chat.test:evil", "//chat.test"),
        *("https://chat.test, https://evil.test",),
    ],
)
@override_settings(ALLOWED_HOSTS=["chat.test"])
def test_pages_of_others_may_not(origin: str) -> None:
    assert not may_use_cookies(handshake(origin))


@override_settings(ALLOWED_HOSTS=["chat.test"])
def test_a_page_without_tls_may_not_when_the_websocket_has_it() -> None:
    assert not may_use_cookies(handshake("http://chat.test", scheme="https"))
    assert may_use_cookies(handshake("http://chat.test", scheme="http"))
    assert may_use_cookies(handshake("https://chat.test", scheme="http"))  # a proxy has taken the TLS off


@override_settings(ALLOWED_HOSTS=["chat.test"], CSRF_TRUSTED_ORIGINS=["https://app.test", "https://*.pages.test"])
def test_trusted_origins_are_those_of_the_csrf_check() -> None:
    for origin in ("https://app.test", "https://a.pages.test", "https://a.b.pages.test"):
        assert may_use_cookies(handshake(origin))
    for origin in ("http://app.test", "https://app.test:8443", "http://a.pages.test", "https://a.pages.test.evil.test"):
        assert not may_use_cookies(handshake(origin))


@override_settings(ALLOWED_HOSTS=["*"])
def test_with_any_host_the_page_must_be_of_the_websockets_host() -> None:
    assert may_use_cookies(handshake("https://chat.test", host="chat.test"))
    assert may_use_cookies(handshake("http://localhost:8000", host="LOCALHOST:9000", scheme="http"))
    assert may_use_cookies(handshake("http://[::1]:8000", host="[::1]:9000", scheme="http"))
    assert not may_use_cookies(handshake("https://evil.test", host="chat.test"))
    assert not may_use_cookies(handshake("https://evil.test", host=""))
    assert not may_use_cookies(handshake("https://", host=""))


@override_settings(ALLOWED_HOSTS=[], DEBUG=True)
def test_pages_of_this_machine_may_in_debug() -> None:
    for host in ("localhost", "chat.localhost", "127.0.0.1", "[::1]"):
        assert may_use_cookies(handshake(f"http://{host}:8000", scheme="http"))
    assert not may_use_cookies(handshake("http://evil.test", scheme="http"))
    with override_settings(DEBUG=False):
        assert not may_use_cookies(handshake("http://localhost:8000", scheme="http"))
