from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.transport.proxy_header import BadProxyHeader, ProxyHeader, parse_proxy_header
from tests.support.proxy_header import V2, tlv, v2

INET = bytes((1, 2, 3, 4, 10, 0, 0, 1, 0x1F, 0x90, 0, 80))
INET6 = bytes(15) + b"\x01" + bytes(15) + b"\x02" + bytes(4)
UNIX = b"/run/client".ljust(108, b"\0") + b"/run/server".ljust(108, b"\0")

GOOD = [
    (b"PROXY TCP4 1.2.3.4 10.0.0.1 8080 80\r\n", "1.2.3.4", False),
    (b"PROXY TCP6 2001:db8::1 ::1 8080 80\r\n", "2001:db8::1", False),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", False),
    (b"PROXY UNKNOWN\r\n", None, False),
    (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None, False),
    (v2(INET), "1.2.3.4", False),
    (v2(INET6, family=0x21), "::1", False),
    (v2(UNIX, family=0x31), "", False),
    (v2(b"", family=0x00), None, False),
    (v2(b"", command=0, family=0x00), None, False),
    (v2(INET, command=0), None, False),
    (v2(INET + tlv(0x04, bytes(7)) + tlv(0xE0, b"x")), "1.2.3.4", False),
    (v2(INET + tlv(0x20, b"\x01" + bytes(4))), "1.2.3.4", True),
    (v2(INET + tlv(0x20, b"\x00" + bytes(4))), "1.2.3.4", False),
    (v2(INET6 + tlv(0x03, bytes(4)) + tlv(0x20, b"\x07" + bytes(4)), family=0x21), "::1", True),
]


@pytest.mark.parametrize(("header", "remote", "tls"), GOOD)
def test_a_header_in_parts_is_read_the_same(header: bytes, remote: str | None, tls: bool) -> None:
    for size in range(len(header)):
        assert parse_proxy_header(header[:size]) is None
    for rest in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"):
        assert parse_proxy_header(header + rest) == ProxyHeader(len(header), remote, tls)


@pytest.mark.parametrize(
    "wrong",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00",
        b"PROXY\r\n",
        b"PROXYTCP4 1.2.3.4 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.1 8080\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.1 8080 80 more\r\n",
        b"PROXY TCP4  1.2.3.4 10.0.0.1 8080 80\r\n",
        b"PROXY TCP4 1.2.3 10.0.0.1 8080 80\r\n",
        b"PROXY TCP4 01.2.3.4 10.0.0.1 8080 80\r\n",
        b"PROXY TCP4 1.2.3.4 ::1 8080 80\r\n",
        b"PROXY TCP4 ::1 ::1 8080 80\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 8080 80\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.1 65536 80\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.1 080 80\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.1 -1 80\r\n",
        b"PROXY UDP4 1.2.3.4 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.1 1 2" + b" " * 100,
        b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n",
        V2[:11] + b"X",
        v2(INET, version=1),
        v2(INET, command=2),
        v2(INET[:11]),
        v2(INET, family=0x21),
        v2(INET, family=0x41),
        v2(INET + b"\x04\x00"),
        v2(INET + b"\x04\x00\x05abc"),
        v2(INET + bytes(5000)),
    ],
)
def test_an_invalid_header_is_refused(wrong: bytes) -> None:
    with pytest.raises(BadProxyHeader):
        parse_proxy_header(wrong)


@given(st.binary())
def test_random_bytes_raise_no_other_error(data: bytes) -> None:
    try:
        found = parse_proxy_header(data)
    except BadProxyHeader:
        return
    assert found is None
    assert len(data) < 107


@given(st.binary(max_size=300))
def test_random_fields_raise_no_other_error(fields: bytes) -> None:
    try:
        found = parse_proxy_header(v2(INET + fields))
    except BadProxyHeader:
        return
    assert found is not None
    assert found.remote == "1.2.3.4"
