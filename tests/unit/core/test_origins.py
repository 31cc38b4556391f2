from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.origins import Origins
from crosswire.errors import ConfigError


@pytest.mark.parametrize(
    "written",
    [
        "https://example.com",
        "https://example.com/",
        "https://example.com:443",
        "https://example.com:",
        "HTTPS://Example.COM",
        "https://EXAMPLE.com:443/",
    ],
)
def test_one_origin_however_it_is_written(written: str) -> None:
    origins = Origins([written])
    assert origins.allows("https://example.com")
    assert origins.allows("https://Example.com:443")
    for other in (
        "http://example.com",
        "https://example.com:8443",
        "https://www.example.com",
        "https://evil-example.com",
        "https://example.com.evil.com",
        "https://example.com.",
        "https://example.co",
        "null",
        "",
        "example.com",
        "https://example.com, https://evil.com",
        "https://example.com https://evil.com",
        "https://example.com/x",
        "https://example.com\\.evil.com",
        "https://example.com@evil.com",
        "https://evil.com?https://example.com",
        "https://evil.com#https://example.com",
    ):
        assert not origins.allows(other), other


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://localhost:80", "http://localhost"),
        ("http://example.com:443", "http://example.com:443"),
        ("http://[0:0:0:0:0:0:0:1]:80/", "http://[::1]"),
        ("http://[2001:DB8::1]:8080", "http://[2001:db8::1]:8080"),
        ("https://münchen.example", "https://xn--mnchen-3ya.example"),
        ("https://XN--MNCHEN-3YA.example", "https://xn--mnchen-3ya.example"),
        ("https://MÜNCHEN.example", "https://xn--mnchen-3ya.example"),
        ("null", "null"),
        ("NULL", "null"),
        ("chrome-extension://abcdefg", "chrome-extension://abcdefg"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_an_origin_is_normalised_to_the_form_of_browsers(written: str, sent: str) -> None:
    assert Origins([written]).allows(sent)
    assert not Origins(["https://other.com"]).allows(sent)


@given(st.text())
def test_a_star_allows_all_and_nothing_else_allows_anything(sent: str) -> None:
    assert Origins(["*"]).allows(sent)
    assert not Origins(["https://example.com", "https://*.example.com"]).allows(sent)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://a.example.com", True),
        ("https://a.b.c.example.com", True),
        ("https://A.EXAMPLE.com:443", True),
        ("https://example.com", False),
        ("https://.example.com", False),
        ("https://evil-example.com", False),
        ("https://a.example.com.evil.com", False),
        ("http://a.example.com", False),
        ("https://a.example.com:8443", False),
        ("https://a..example.com", False),
    ],
)
def test_subdomains_are_those_below(origin: str, allowed: bool) -> None:
    assert Origins(["https://*.Example.com"]).allows(origin) is allowed


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("example.com", "https://example.com"),
        ("localhost:3000", "scheme"),
        ("*.example.com", r"https://\*.example.com"),
        ("", "scheme"),
        ("wss://example.com", "'https'"),
        ("ws://example.com", "'http'"),
        ("https://example.com/app", "path"),
        ("https://example.com//", "path"),
        ("https://example.com?x", "path"),
        ("https://example.com#x", "path"),
        ("https://user@example.com", "user"),
        ("https://", "host"),
        ("https:///", "host"),
        ("https://:443", "host"),
        ("https://*", "is allowed alone"),
        ("https://a.*.com", "is allowed alone"),
        ("https://*example.com", "is allowed alone"),
        ("https://*.*.example.com", "is allowed alone"),
        ("http://localhost:*", "port"),
        ("https://example.com:0", "port"),
        ("https://example.com:70000", "port"),
        ("https://example.com:\uff18", "port"),
        ("http://::1", "brackets"),
        ("http://[::1", ""),
        ("http://[zz]", ""),
        ("https://exa mple.com", "space"),
        (" https://example.com", "space"),
        ("https://example.com\n", "space"),
        ("https://straße.example", "xn--"),
        ("https://a..example.com", "host"),
        ("file:///", "null"),
        ("https://" + "a" * 600, "long"),
    ],
)
def test_an_origin_that_can_never_match_is_refused_with_advice(written: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=f"origins.*{advice}"):
        Origins(["https://example.com", written])
