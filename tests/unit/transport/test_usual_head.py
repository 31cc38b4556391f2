"""A usual request for a WebSocket is read as httptools' parser reads it, and any other is left to the parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.headers import Headers
from crosswire.core.limits import Limits
from crosswire.transport.http_head import RequestHead
from crosswire.transport.http_rules import BadRequestHead
from crosswire.transport.usual_head import read_usual_head

FIELDS = (
    "Host: example.com:9000",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version: 13",
)
OTHERS = (
    "Connection: keep-alive, Upgrade",
    "connection: upgrade",
    "CONNECTION: KEEP-ALIVE, UPGRADE",
    "Connection: close",
    "Connection: keep-alive,Upgrade",
    "UPGRADE: WebSocket",
    "Upgrade: h2c",
    "Host: b",
    "Host: a,b",
    "Host:",
    "Content-Length: 0",
    "content-length: 3",
    "Transfer-Encoding: chunked",
    "Sec-WebSocket-Version: 12",
    "Sec-WebSocket-Key: b",
    "Cookie: a=1; b: 2",
    "Origin: https://example.com",
    "X:1",
    "X:  2",
    "X: 3  ",
    "X: 4\t",
    "X: \u00e9",
    "X: 5\r 6",
    "X: 7\0",
    "X :8",
    "X_Y: 9",
    " folded",
    ": nameless",
)
LINES = (
    "GET /?id=1 HTTP/1.1",
    'GET /a%20b?c=%C3%BC&d?e[]={}|^`" HTTP/1.1',
    "GET / HTTP/1.0",
    "POST / HTTP/1.1",
    "GET http://a/b HTTP/1.1",
    "GET /a#b HTTP/1.1",
    "GET  / HTTP/1.1",
    "GET / HTTP/1.1 ",
    "GET /\u00fc HTTP/1.1",
    "GET * HTTP/1.1",
    "\r\nGET / HTTP/1.1",
)
ENDS = ("\r\n\r\n", "\r\n", "\n\n", "\r\n\r\n\x81", "")


def head_of(line: str = LINES[0], fields: tuple[str, ...] = FIELDS, end: str = ENDS[0]) -> bytes:
    return ("\r\n".join((line, *fields)) + end).encode("latin-1")


def fields_of(headers: Headers) -> dict[str, list[str]]:
    return {name: headers.get_all(name) for name in headers}


def parsed(data: bytes) -> RequestHead | None:
    head = RequestHead(Limits())
    try:
        return head if head.feed(data) else None
    except BadRequestHead:
        return None


@given(
    st.sampled_from(LINES[:2]) | st.sampled_from(LINES),
    st.lists(st.sampled_from(FIELDS), max_size=2).map(lambda missing: [x for x in FIELDS if x not in missing]),
    st.lists(st.sampled_from(OTHERS), max_size=3),
    st.permutations(range(8)),
    st.sampled_from(ENDS[:1]) | st.sampled_from(ENDS),
)
def test_what_is_read_the_parser_reads_in_the_same_way(
    line: str, some: list[str], others: list[str], order: list[int], end: str
) -> None:
    fields = [*some, *others]
    data = head_of(line, tuple(fields[at] for at in order if at < len(fields)), end)
    usual, head = read_usual_head(data, Limits()), parsed(data)
    if usual is not None:
        assert head is not None
        target, headers = usual
        assert (target, fields_of(headers)) == (head.target, fields_of(head.headers))
        assert (head.method, head.upgrade, head.whole, head.rest) == ("GET", True, True, b"")
        assert not head.announces_body


@given(st.binary(max_size=40), st.integers(0, 200))
def test_any_bytes_among_it_are_read_as_the_parser_reads_them_or_not_at_all(noise: bytes, at: int) -> None:
    data = head_of()
    data = data[:at] + noise + data[at:]
    usual, head = read_usual_head(data, Limits()), parsed(data)
    if usual is not None:
        assert head is not None
        assert (usual[0], fields_of(usual[1])) == (head.target, fields_of(head.headers))
        assert head.upgrade


@pytest.mark.parametrize("added", [(), ("Cookie: a=1; b: 2", "Origin: https://example.com")])
@pytest.mark.parametrize("line", LINES[:2])
@pytest.mark.parametrize("connection", ["Upgrade", "upgrade", "keep-alive, Upgrade"])
def test_what_browsers_and_clients_send_is_usual(line: str, connection: str, added: tuple[str, ...]) -> None:
    fields = (*FIELDS[:2], f"Connection: {connection}", *FIELDS[3:], *added)
    usual = read_usual_head(head_of(line, fields), Limits())
    assert usual is not None
    assert usual[0] == line.split(" ")[1]
    assert usual[1]["sec-websocket-key"] == "AAAAAAAAAAAAAAAAAAAAAA=="


@pytest.mark.parametrize("line", LINES[2:])
def test_another_request_line_is_left_to_the_parser(line: str) -> None:
    assert read_usual_head(head_of(line), Limits()) is None


@pytest.mark.parametrize(
    "field", ["Content-Length: 0", "Transfer-Encoding: chunked", "Host: b", "Upgrade: a", "X:  2", "X: 3 "]
)
def test_a_field_that_may_change_what_is_meant_is_left_to_the_parser(field: str) -> None:
    assert read_usual_head(head_of(fields=(*FIELDS, field)), Limits()) is None


def test_a_head_over_the_limits_is_left_to_the_parser() -> None:
    data = head_of()
    at_the_limit = Limits(headers=16, header_size=max(len(data), 1024))
    more = (*FIELDS, *(f"X: {number}" for number in range(12)))
    assert read_usual_head(data, at_the_limit) is not None
    assert read_usual_head(head_of(fields=more[:16]), at_the_limit) is not None
    assert read_usual_head(head_of(fields=more), at_the_limit) is None
    assert read_usual_head(head_of(fields=(*FIELDS, "X: " + "x" * 1024)), at_the_limit) is None
