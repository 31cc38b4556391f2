from __future__ import annotations

from typing import Any

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crosswire.core.headers import Headers
from crosswire.core.limits import Limits
from crosswire.transport.http_head import RequestHead
from crosswire.transport.http_rules import BadRequestHead, check_head, checked_target

WEBSOCKET = (("Host", "a"), ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))


def status(*fields: tuple[str, str], version: str = "1.1", method: str = "GET") -> int | None:
    """Return the status with which fields are refused, or None."""
    try:
        check_head(version, method, Headers(fields))
    except BadRequestHead as bad:
        return bad.status if bad.reason else 0
    return None


@pytest.mark.parametrize(
    "host", ["a", "a:80", "A-b.c_d", "127.0.0.1:9000", "[::1]", "[::1]:80", "xn--p1ai", "a%20b", "", ":80"]
)
def test_a_host_is_a_name_or_an_address_with_a_port(host: str) -> None:
    assert status(("Host", host)) is None


@pytest.mark.parametrize(
    "host",
    ["a b", "a/b", "u@a", "a,b", "a, a", "a<b", 'a"', "a\\b", "a?", "a#", "[::1", "::1", "a:b", "a:123456", "[a]:80:1"],
)
def test_anything_else_is_no_host(host: str) -> None:
    assert status(("Host", host)) == 400


@pytest.mark.parametrize("name", ["Host", "Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key"])
def test_a_request_for_a_websocket_has_its_fields_once(name: str) -> None:
    fields = (*WEBSOCKET, ("Sec-WebSocket-Key", "k"))
    assert status(*fields) is None
    assert status(*fields, (name, dict(fields)[name])) == 400
    assert status(*fields, (name, "other")) == 400


@pytest.mark.parametrize("body", [("Content-Length", "5"), ("Transfer-Encoding", "chunked")])
def test_a_request_for_a_websocket_has_no_body(body: tuple[str, str]) -> None:
    assert status(*WEBSOCKET, body) == 400
    assert status(*WEBSOCKET, body, method="POST") is None  # it is no request for a WebSocket
    assert status(*WEBSOCKET, ("Content-Length", "0")) is None


@pytest.mark.parametrize(
    ("codings", "expected"),
    [
        (["chunked"], None),
        (["Chunked"], None),
        (["gzip, chunked"], 501),
        (["gzip", "chunked"], 501),
        (["chunked, chunked"], 400),
        (["chunked", "chunked"], 400),
        (["chunked", "identity"], 400),
        (["identity"], 400),
        (["xchunked"], 400),
        (['"chunked"'], 400),
        (["chunked;q=1"], 400),
        (["\x0bchunked"], 400),
        (["chunked,"], 400),
        ([""], 400),
    ],
)
def test_a_body_is_chunked_or_has_a_length(codings: list[str], expected: int | None) -> None:
    fields = [("Host", "a"), *(("Transfer-Encoding", coding) for coding in codings)]
    assert status(*fields, method="POST") == expected
    assert status(*fields, method="POST", version="1.0") == 400
    assert status(*fields, ("Content-Length", "5"), method="POST") == 400


@pytest.mark.parametrize(
    ("method", "target", "meant"),
    [
        ("GET", "/a?b", "/a?b"),
        ("GET", "http://a/b", "/b"),
        ("GET", "HTTPS://a", "/"),
        ("OPTIONS", "*", "*"),
        ("CONNECT", "a:80", "a:80"),
        ("GET", "*", None),
        ("GET", "a:80", None),
        ("GET", "ws://a/b", None),
        ("GET", "http://u:p@a/b", None),
        ("GET", "/a#b", None),
        ("GET", "http://a/b#c", None),
    ],
)
def test_a_target_is_a_path_or_has_the_origin_in_front(method: str, target: str, meant: str | None) -> None:
    if meant is None:
        with pytest.raises(BadRequestHead):
            checked_target(method, target)
    else:
        assert checked_target(method, target) == meant


# What the listener takes for a request, against another parser

NAMES = [
    b"Content-Length",
    b"Transfer-Encoding",
    b"content-length",
    b"X",
    b"Host",
    b"Connection",
    b"Upgrade",
    b"Expect",
]
VALUES = [b"0", b"5", b"+5", b"0x5", b"5, 5", b"05", b"5 ", b" 5", b"", b"chunked", b"gzip, chunked", b"identity"]
VALUES += [
    b"chunked, identity",
    b"\tchunked",
    b"\x0bchunked",
    b"a",
    b"b",
    b"close",
    b"keep-alive",
    b"x\x00y",
    b"Upgrade",
]
SEPARATORS = [b": ", b":", b" : ", b":\t", b"\x00: "]
ENDS = [b"\r\n"] * 6 + [b"\n", b"\r", b"\r\r\n", b"\r\n "]
BODIES = [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"]
BODIES += [b"+5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n", b"5 \r\nhello\r\n0\r\n\r\n"]
BODIES += [b"00000005\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n"]
NEXT = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n"

fields = st.builds(
    lambda *parts: b"".join(parts),
    st.sampled_from(NAMES),
    st.sampled_from(SEPARATORS),
    st.sampled_from(VALUES),
    st.sampled_from(ENDS),
)
lines = st.builds(
    lambda method, target, version, end: b" ".join((method, target, version)) + end,
    st.sampled_from([b"GET", b"POST", b"get", b"HEAD"]),
    st.sampled_from([b"/", b"/a?b=c", b"http://a/b", b"*", b"/a b", b"/\x00"]),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"http/1.1", b"HTTP/2.0"]),
    st.sampled_from(ENDS),
)
ambiguous_requests = st.builds(
    lambda line, some, body: line + b"".join(some) + b"\r\n" + body,
    lines,
    st.lists(fields, max_size=5).map(lambda some: [b"Host: a\r\n", *some]),
    st.sampled_from(BODIES),
)


def read_by_listener(data: bytes) -> tuple[str, bytes, dict[str, str]] | None:
    """Return method, body and fields of a request, as the listener understands it, or None if it is not complete."""
    head = RequestHead(Limits())
    if not head.feed(data):
        return None
    if not (head.whole or head.begin_body()):
        return None
    return head.method, bytes(head.body), dict(head.headers)


def stripped(fields: dict[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in fields.items()}


def read_by_h11(data: bytes) -> tuple[str, bytes, dict[str, str]] | None:
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(data)
    request, body = None, b""
    while True:
        event: Any = parser.next_event()
        if event is h11.NEED_DATA:
            return None
        if isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert request is not None
            pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
            return request.method.decode(), body, dict(Headers(pairs))


@settings(max_examples=600, deadline=None)
@given(ambiguous_requests)
@example(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
@example(b"GET / HTTP/1.1\r\nHost: a\r\nX: 0\r\nX: \r\n\r\n")
@example(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
@example(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n")
def test_a_request_is_refused_or_ends_where_another_parser_ends_it(data: bytes) -> None:
    try:
        ours = read_by_listener(data + NEXT)
    except BadRequestHead:
        return
    try:
        theirs = read_by_h11(data + NEXT)
    except h11.RemoteProtocolError:
        return  # stricter than ours: nothing can be smuggled past it
    if ours is None or theirs is None:
        assert ours == theirs
        return
    assert ours[:2] == theirs[:2]
    assert stripped(ours[2]) == stripped(theirs[2])
