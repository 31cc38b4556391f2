from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.limits import Limits
from crosswire.transport.http_head import RequestHead
from crosswire.transport.http_rules import BadRequestHead

UPGRADE = "Host: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"


def request(line: str = "GET / HTTP/1.1", fields: str = "Host: a\r\n", rest: str = "") -> bytes:
    return f"{line}\r\n{fields}\r\n{rest}".encode("latin-1")


def read(data: bytes, limits: Limits | None = None) -> RequestHead:
    head = RequestHead(limits or Limits())
    assert head.feed(data)
    return head


def refusal_status(data: bytes, limits: Limits | None = None) -> int:
    with pytest.raises(BadRequestHead) as caught:
        read(data, limits)
    assert caught.value.reason
    return caught.value.status


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_request_is_read(method: str, version: str) -> None:
    head = read(request(f"{method} /a?b=1 HTTP/{version}", "Host: a\r\nX: 1\r\nx:  2 \r\nEmpty:\r\n"))
    assert (head.method, head.target, head.upgrade, head.rest, head.whole) == (method, "/a?b=1", False, b"", True)
    assert dict(head.headers) == {"host": "a", "x": "1, 2", "empty": ""}


def test_http_1_0_needs_no_host() -> None:
    assert read(request("GET / HTTP/1.0", "")).target == "/"


@given(st.lists(st.integers(0, 200), max_size=6))
def test_a_request_in_parts_is_read_the_same(cuts: list[int]) -> None:
    data = "GET /?n=ü&m=%C3%BC HTTP/1.1\r\n".encode() + request("", f"{UPGRADE}X: é\r\n")[2:] + b"\x81\x80\0\0\0\0"
    at = sorted({0, *(min(cut, data.index(b"\x81\x80") - 1) for cut in cuts), len(data)})
    head = RequestHead(Limits())
    *more, last = [head.feed(data[start:end]) for start, end in pairwise(at)]
    assert (more, last) == ([False] * len(more), True)
    assert (head.target, head.upgrade, head.rest) == ("/?n=%C3%BC&m=%C3%BC", True, b"\x81\x80\0\0\0\0")
    assert head.headers["x"] == "é"


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("http://example.com/a?b", "/a?b"),
        ("HTTPS://example.com:80", "/"),
        ("http://example.com?q", "/?q"),
        ("*", "*"),
        ("//a/b", "//a/b"),
    ],
)
def test_the_target_is_its_path_and_query(target: str, meant: str) -> None:
    assert read(request(f"OPTIONS {target} HTTP/1.1")).target == meant


@pytest.mark.parametrize(
    ("raw", "meant"),
    [(b"/?n=\xc3\xbc", "/?n=%C3%BC"), (b"/\xff?\xfe", "/%FF?%FE"), (b"/?\xc3%BC", "/?%C3%BC")],
)
def test_bytes_beyond_ascii_are_percent_encoded_in_the_target_alone(raw: bytes, meant: str) -> None:
    for blank_lines in (b"", b"\r\n", b"\r\n\r\n"):
        head = read(blank_lines + b"GET " + raw + b" HTTP/1.1\r\nHost: a\r\nX: \xff\r\n\r\n")
        assert (head.target, head.headers["x"]) == (meant, "ÿ")


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("GET / HTTP/1.0", UPGRADE),  # RFC 9110, section 7.8
        ("POST / HTTP/1.1", UPGRADE + "Content-Length: 3\r\n"),
        ("POST / HTTP/1.1", UPGRADE + "Transfer-Encoding: chunked\r\n"),
        ("GET / HTTP/1.1", UPGRADE.replace("websocket", "h2c") + "Content-Length: 3\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nUpgrade: websocket\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nConnection: upgrade\r\n"),
    ],
)
def test_an_upgrade_needs_its_conditions(line: str, fields: str) -> None:
    assert not read(request(line, fields, "abc")).upgrade


def test_the_line_of_http_0_9_is_refused_at_once() -> None:
    assert refusal_status(b"GET /\r\n") == 400
    head = RequestHead(Limits())
    assert not head.feed(b"GET /")
    with pytest.raises(BadRequestHead):
        head.feed(b"\r\n")


@pytest.mark.parametrize("endless", [b"0\r\nX: ", b"1\r\na\r\n1;", b"0\r\nX: y\r\n"])
def test_what_is_no_body_is_bounded(endless: bytes) -> None:
    limits = Limits(header_size=1000, max_message=10**9)
    head = RequestHead(limits)
    assert head.feed(request("POST / HTTP/1.1", "Host: a\r\nTransfer-Encoding: chunked\r\n"))
    assert not head.feed_body(endless)
    more = b"X: y\r\n" * 20 if endless.endswith(b"\r\n") else b"a" * 100
    while head._behind_body + len(more) <= 1000:
        assert not head.feed_body(more)
    with pytest.raises(BadRequestHead) as caught:
        head.feed_body(more)
    assert caught.value.status == 431


@pytest.mark.parametrize(
    "body", ["Content-Length: 2\r\n\r\nab", "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"]
)
def test_a_request_behind_it_changes_nothing(body: str) -> None:
    head = RequestHead(Limits())
    assert head.feed(f"POST /a HTTP/1.1\r\nHost: a\r\n{body}DELETE /b HTTP/1.0\r\nX: y\r\n\r\n".encode())
    assert head.begin_body()
    assert (head.method, head.target, bytes(head.body), dict(head.headers).get("x")) == ("POST", "/a", b"ab", None)


def test_an_empty_body_does_not_prevent_an_upgrade() -> None:
    head = read(request(fields=UPGRADE + "Content-Length: 0\r\n", rest="rest"))
    assert (head.upgrade, head.rest) == (True, b"rest")


@pytest.mark.parametrize(
    "behind", ["GET / HTTP/1.1\r\nHost: b\r\n\r\n", "\x00\xff", "GET /other HTTP/1.1\r\nHost: a\r\nX: y\r\n"]
)
def test_bytes_behind_a_request_do_not_change_it(behind: str) -> None:
    head = read(request("GET /a HTTP/1.1", rest=behind))
    assert (head.target, dict(head.headers), head.whole) == ("/a", {"host": "a"}, False)


@pytest.mark.parametrize("fields", ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"])
def test_a_request_is_not_whole_before_its_body(fields: str) -> None:
    assert not read(request("POST / HTTP/1.1", "Host: a\r\n" + fields)).whole


@pytest.mark.parametrize(
    "data",
    [
        b"hello world\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET nothing HTTP/1.1\r\nHost: a\r\n\r\n",
        request(fields=""),
        request(fields="Host: a\r\nHost: b\r\n"),
        request("GET / HTTP/1.0", "Host: a\r\nHost: a\r\n"),
        request(fields="Host: a b\r\n"),
        request(fields="Host: a/b\r\n"),
        request(fields="Host: user@a\r\n"),
        request(fields="Host: \xfc\r\n"),
        request(fields="Host : a\r\n"),
        request(fields="no colon here\r\n"),
        request(fields="Host: a\r\nX: a\0b\r\n"),
        request(fields="Host: a\r\nX: a\r\n folded\r\n"),
        request(fields="Host: a\r\nContent-Length: x\r\n"),
        request(fields="Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n"),
        request(fields="Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
    ],
)
def test_an_invalid_request_is_400(data: bytes) -> None:
    assert refusal_status(data) == 400


def test_unknown_methods_and_versions_have_their_own_status() -> None:
    assert refusal_status(request("FROBNICATE / HTTP/1.1")) == 501
    assert refusal_status(request("GET / HTTP/2.0")) == 505


def test_the_number_of_fields_is_limited() -> None:
    limits = Limits(headers=10)
    assert len(read(request(fields="Host: a\r\n" + "X: y\r\n" * 9), limits).headers) == 2
    assert refusal_status(request(fields="Host: a\r\n" + "X: y\r\n" * 10), limits) == 431


@pytest.mark.parametrize("step", [7, 100, 10_000])
def test_the_size_is_limited_also_in_parts(step: int) -> None:
    limits = Limits(header_size=1000)

    def fed(data: bytes) -> int | None:
        head = RequestHead(limits)
        try:
            for start in range(0, len(data), step):
                if head.feed(data[start : start + step]):
                    return None
        except BadRequestHead as bad:
            return bad.status
        raise AssertionError("neither read nor refusal_status")

    def fields(size: int) -> bytes:
        data = request(fields="Host: a\r\nX: \r\n")
        return data.replace(b"X: ", b"X: " + b"y" * (size - len(data)))

    def line(size: int) -> bytes:
        return request().replace(b"GET /", b"GET /" + b"y" * (size - len(request())))

    assert fed(fields(1000)) is None
    assert fed(fields(1001)) == 431
    assert fed(fields(50_000)) == 431
    assert fed(request(fields="Host: a\r\n" + "X:\r\n" * 5000)) == 431
    assert fed(line(1000)) is None
    assert fed(line(50_000)) == 414


def test_bytes_behind_the_head_do_not_count_as_its_size() -> None:
    head = read(request(fields=UPGRADE, rest="x" * 5000), Limits(header_size=300))
    assert head.rest == b"x" * 5000


def read_body(parts: list[bytes], limits: Limits | None = None) -> RequestHead:
    """Read a request with its body; the head is in the first part."""
    first, *more = parts
    head = read(first, limits)
    complete = head.begin_body()
    for part in more:
        if complete:
            break
        complete = head.feed_body(part)
    assert complete
    return head


def post(fields: str, body: bytes) -> bytes:
    return request("POST / HTTP/1.1", f"Host: a\r\n{fields}\r\n") + body


def in_chunks(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


BODIES = {
    "Content-Length": post("Content-Length: 9", b"one\xfftwo\r\n"),
    "chunks": post("Transfer-Encoding: chunked", in_chunks(b"one\xff", b"two\r\n")),
    "trailers": post("Transfer-Encoding: chunked", in_chunks(b"one\xfftwo\r\n")[:-2] + b"X: y\r\nHost: b\r\n\r\n"),
    "extensions": post("Transfer-Encoding: chunked", b'4;a=b\r\none\xff\r\n5;c="d"\r\ntwo\r\n\r\n0\r\n\r\n'),
    "with an upgrade": post("Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 9", b"one\xfftwo\r\n"),
}


@pytest.mark.parametrize("name", BODIES)
@given(cuts=st.lists(st.integers(0, 100), max_size=6), behind=st.sampled_from([b"", b"\xff", b"GET / HTTP/1.1\r\n"]))
def test_a_body_in_parts_is_read_the_same(name: str, cuts: list[int], behind: bytes) -> None:
    data = BODIES[name]
    start = data.index(b"\r\n\r\n") + 4
    at = sorted({0, *(min(start + cut, len(data)) for cut in cuts), len(data)})
    head = read_body([*(data[begin:end] for begin, end in pairwise(at)), behind])
    assert (bytes(head.body), head.headers.get("x"), head.headers["host"]) == (b"one\xfftwo\r\n", None, "a")


@pytest.mark.parametrize(
    ("fields", "announced"),
    [
        ("", False),
        ("Content-Length: 0", False),
        ("Content-Length: 000", False),
        ("Content-Length: 10", True),
        ("Transfer-Encoding: chunked", True),
    ],
)
def test_a_body_is_announced_by_a_field(fields: str, announced: bool) -> None:
    assert read(post(fields, b"") if fields else request()).announces_body is announced


@pytest.mark.parametrize("size", [999, 1000, 1001, 100_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_no_more_of_a_body_is_kept_than_shows_that_it_is_too_large(size: int, chunked: bool) -> None:
    body = bytes(size)
    data = post("Transfer-Encoding: chunked", in_chunks(body)) if chunked else post(f"Content-Length: {size}", body)
    head = read_body([data[start : start + 700] for start in range(0, len(data), 700)], Limits(max_message=1000))
    assert len(head.body) == min(size, 1001)


@pytest.mark.parametrize(
    "body", [b"x\r\nabc", b"3\r\nabcd\r\n", b"-1\r\n\r\n", b"fffffffffffffffff\r\n", b"\xff\r\n", b"\r\n\r\n\r\n"]
)
@pytest.mark.parametrize("together", [False, True])
def test_a_chunk_that_is_invalid_is_400(body: bytes, together: bool) -> None:
    head = post("Transfer-Encoding: chunked", b"")
    with pytest.raises(BadRequestHead) as caught:
        read_body([head + body] if together else [head, body])
    assert caught.value.status == 400


def test_a_body_behind_a_long_head_is_whole() -> None:
    limits = Limits(header_size=300, max_message=10_000)
    data = post("Content-Length: 5000", bytes(5000))
    head = read_body([data[:20] + data[20:]], limits)
    assert len(head.body) == 5000


@pytest.mark.parametrize(
    ("version", "fields", "body", "awaited"),
    [
        ("1.1", "Expect: 100-continue", "", True),
        ("1.1", "Expect: 100-Continue", "", True),
        ("1.1", "Expect: 100-continue", "a", False),  # it has not waited
        ("1.0", "Expect: 100-continue", "", False),  # RFC 9110, section 10.1.1
        ("1.1", "Expect: tea", "", False),
        ("1.1", "X: y", "", False),
    ],
)
def test_some_clients_await_100_continue(version: str, fields: str, body: str, awaited: bool) -> None:
    head = read(request(f"POST / HTTP/{version}", f"Host: a\r\nContent-Length: 3\r\n{fields}\r\n", body))
    assert not head.begin_body()
    assert head.awaits_continue is awaited


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_line_breaks_in_front_of_a_request_are_skipped_and_those_inside_its_method_are_not(size: int) -> None:
    def feed(data: bytes) -> RequestHead:
        head = RequestHead(Limits())
        assert any([head.feed(data[start : start + size]) for start in range(0, len(data), size)][-1:])
        return head

    assert feed(b"\r\n\r\n\n" + request()).method == "GET"
    with pytest.raises(BadRequestHead):
        feed(b"GE\r\nT / HTTP/1.1\r\nHost: a\r\n\r\n")
