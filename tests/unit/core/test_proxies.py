from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.headers import Headers
from crosswire.core.proxies import TrustedProxies
from crosswire.errors import ConfigError

PROXY = "10.0.0.9"
TRUSTED = TrustedProxies(("10.0.0.0/8", "192.0.2.7", "fd00::/8", "unix"))


def resolved(*fields: tuple[str, str], peer: str = PROXY, scheme: str = "http") -> tuple[str, str]:
    return tuple(TRUSTED.resolve(peer, scheme, Headers(fields)))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.255.0.1", True),
        ("11.0.0.1", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("::ffff:10.1.1.1", True),
        ("fd12::1", True),
        ("fd12::1%eth0", True),
        ("fe80::1", False),
        ("", True),
        ("memory", False),
    ],
)
def test_proxies_are_trusted_by_address_and_network(address: str, trusted: bool) -> None:
    assert TRUSTED.trusts(address) is trusted


def test_a_unix_socket_is_trusted_only_if_it_is_named() -> None:
    assert not TrustedProxies(("10.0.0.0/8",)).trusts("")


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For"])
@given(st.text(st.characters(codec="latin-1", exclude_characters="\n\0")))
def test_headers_of_untrusted_peers_are_ignored(name: str, value: str) -> None:
    assert resolved((name, value), ("X-Forwarded-Proto", "https"), peer="6.6.6.6") == ("6.6.6.6", "http")


@given(st.text(st.characters(codec="latin-1", exclude_characters="\n\0"), max_size=60))
def test_entries_written_by_the_client_are_ignored(own: str) -> None:
    assert resolved(("X-Forwarded-For", f"{own}, 1.2.3.4"))[0] == "1.2.3.4"
    assert resolved(("X-Forwarded-For", own), ("X-Forwarded-For", "1.2.3.4"))[0] == "1.2.3.4"
    assert resolved(("Forwarded", own), ("Forwarded", "for=1.2.3.4"))[0] == "1.2.3.4"
    for element in ("for=1.2.3.4", 'for="1.2.3.4:80"', 'proto=https;for="[2001:db8::1]:80"'):
        # In one field it can make the whole unreadable: then the proxy's own address is what is known.
        assert resolved(("Forwarded", f"{own}, {element}"))[0] in ("1.2.3.4", "2001:db8::1", PROXY)


@pytest.mark.parametrize(
    ("value", "remote"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4, 10.1.1.1, fd00::5", "1.2.3.4"),
        ("1.2.3.4:5678", "1.2.3.4"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("10.3.3.3, 10.1.1.1", "10.3.3.3"),
        ("1.2.3.4, unix:", "1.2.3.4"),
        ("unknown", "unknown"),
        ("junk", PROXY),
        ("junk, 10.1.1.1", "10.1.1.1"),
        ("", PROXY),
        (" , ,1.2.3.4,", "1.2.3.4"),
        ("1.2.3.4.5", PROXY),
        ("999.1.1.1", PROXY),
    ],
)
def test_x_forwarded_for_is_read_from_the_right(value: str, remote: str) -> None:
    assert resolved(("X-Forwarded-For", value))[0] == remote


@pytest.mark.parametrize(
    ("value", "requester"),
    [
        ("for=1.2.3.4", ("1.2.3.4", "http")),
        ("For=1.2.3.4;Proto=HTTPS;by=203.0.113.43", ("1.2.3.4", "https")),
        ('for="1.2.3.4:47011";proto=wss', ("1.2.3.4", "https")),
        ('for="[2001:db8:cafe::17]:4711"', ("2001:db8:cafe::17", "http")),
        ('for="[2001:db8:cafe::17]"', ("2001:db8:cafe::17", "http")),
        ('for="[2001:db8::1]:_port"', ("2001:db8::1", "http")),
        ("for=6.6.6.6;proto=https, for=1.2.3.4;proto=http, for=10.2.2.2;proto=https", ("1.2.3.4", "http")),
        ("for=1.2.3.4;proto=https, for=10.2.2.2", ("1.2.3.4", "https")),
        ("for=1.2.3.4 ; proto=https", ("1.2.3.4", "https")),
        ("for=_hidden", ("_hidden", "http")),
        ('for="_hidden:8080"', ("_hidden", "http")),
        ("for=6.6.6.6, for=_SEVKISEK", ("_SEVKISEK", "http")),
        ("for=6.6.6.6, for=unknown", ("unknown", "http")),
        ('for="\\1.2.3.4"', ("1.2.3.4", "http")),
        ('host="a, for=6.6.6.6";for=1.2.3.4', ("1.2.3.4", "http")),
        ("proto=https", (PROXY, "https")),
        ("for=1.2.3.4;proto=gopher", ("1.2.3.4", "http")),
        ('for="1.2.3.4', (PROXY, "http")),
        ('for=", for=1.2.3.4', (PROXY, "http")),
        ("for=1.2.3.4;for=6.6.6.6", (PROXY, "http")),
        ("for", (PROXY, "http")),
        ("for=", (PROXY, "http")),
        ("", (PROXY, "http")),
        ("for=1.2.3.4,", ("1.2.3.4", "http")),
    ],
)
def test_forwarded_is_read_as_rfc_7239_says(value: str, requester: tuple[str, str]) -> None:
    assert resolved(("Forwarded", value)) == requester


@pytest.mark.parametrize(
    ("protos", "scheme"),
    [("https", "https"), ("HTTPS", "https"), ("wss", "https"), ("ws", "http"), ("http", "http"), ("ftp", "http")],
)
def test_x_forwarded_proto_is_the_scheme(protos: str, scheme: str) -> None:
    assert resolved(("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", protos)) == ("1.2.3.4", scheme)
    assert resolved(("X-Forwarded-Proto", protos)) == (PROXY, scheme)


def test_the_scheme_of_the_client_s_own_hop_counts() -> None:
    schemes = ("X-Forwarded-Proto", "http, https, http")
    assert resolved(("X-Forwarded-For", "6.6.6.6, 1.2.3.4, 10.1.1.1"), schemes) == ("1.2.3.4", "https")
    assert resolved(("X-Forwarded-Proto", "https, http")) == (PROXY, "http")


def test_without_a_header_the_connection_s_own_scheme_stays() -> None:
    assert resolved(("X-Forwarded-For", "1.2.3.4"), scheme="https") == ("1.2.3.4", "https")
    assert resolved(scheme="https") == (PROXY, "https")


def test_contradicting_headers_are_ignored() -> None:
    assert resolved(("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", "1.2.3.4")) == (PROXY, "http")
    assert resolved(("Forwarded", "for=1.2.3.4;proto=https"), ("X-Forwarded-For", "1.2.3.4")) == ("1.2.3.4", "https")


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ("localhost", "address"),
        ("", "address"),
        ("10.0.0.0/33", "address"),
        ("10.0.0.1/8", "'10.0.0.0/8'"),
        ("unix:/a", "unix"),
        ("*", "address"),
    ],
)
def test_an_invalid_network_is_refused(wrong: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=f"trusted_proxies.*{advice}"):
        TrustedProxies((wrong,))
