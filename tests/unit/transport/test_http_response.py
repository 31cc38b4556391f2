from __future__ import annotations

from typing import cast

import pytest

from crosswire.errors import UsageError
from crosswire.transport.http_response import encode_response, encode_upgrade, require_sendable
from crosswire.transport.interface import Accepted, Receiver, Response


def parsed(response: Response, *, with_body: bool = True) -> tuple[bytes, dict[bytes, bytes], bytes]:
    head, _, body = encode_response(response, with_body=with_body).partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    names = dict(field.split(b": ", 1) for field in fields)
    assert len(names) == len(fields), "no field is there twice"
    return line, names, body


def test_a_response_has_its_length_and_closes_the_connection() -> None:
    line, fields, body = parsed(Response(200, "größer".encode(), {"X-A": "é"}))
    assert (line, body) == (b"HTTP/1.1 200 OK", "größer".encode())
    assert fields[b"Content-Length"] == b"8"
    assert (fields[b"Connection"], fields[b"X-A"]) == (b"close", b"\xe9")
    assert fields[b"Content-Type"] == b"text/plain; charset=utf-8"
    assert fields[b"Date"].endswith(b" GMT")


def test_a_response_to_head_has_the_same_fields_and_no_body() -> None:
    response = Response(200, b"12345", {"Content-Type": "a/b"})
    assert parsed(response, with_body=False)[1] == parsed(response)[1]
    assert parsed(response, with_body=False)[2] == b""


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_a_body_has_no_length(status: int) -> None:
    _, fields, body = parsed(Response(status, b"not sent"))
    assert body == b""
    assert b"Content-Length" not in fields


def test_an_empty_body_has_a_length() -> None:
    assert parsed(Response(404))[1][b"Content-Length"] == b"0"


def test_a_status_without_a_phrase() -> None:
    assert parsed(Response(599))[0] == b"HTTP/1.1 599 "


def test_fields_of_the_application_replace_ours() -> None:
    assert parsed(Response(200, b"x", {"content-type": "text/html"}))[1][b"content-type"] == b"text/html"


@pytest.mark.parametrize(
    "unsendable",
    [
        Response(199),
        Response(600),
        Response(True),
        Response("200"),  # type: ignore[arg-type]
        Response(200, "text"),  # type: ignore[arg-type]
        Response(200, b"", {"X": "a\r\nSet-Cookie: b"}),
        Response(200, b"", {"X": "a\0"}),
        Response(200, b"", {"X": "€"}),
        Response(200, b"", {"X": 1}),  # type: ignore[dict-item]
        Response(200, b"", {"X Y": "a"}),
        Response(200, b"", {"": "a"}),
        Response(200, b"", {"Content-length": "3"}),
        Response(200, b"", {"Connection": "keep-alive"}),
        Response(200, b"", [("X", "a")]),  # type: ignore[arg-type]
    ],
)
def test_a_response_that_can_not_be_sent_is_refused(unsendable: Response) -> None:
    with pytest.raises(UsageError, match="Response"):
        require_sendable(unsendable)


_NOBODY = cast(Receiver, None)


def test_a_granted_upgrade_has_the_digest_of_the_key() -> None:
    answer = encode_upgrade(Accepted(_NOBODY), "dGhlIHNhbXBsZSBub25jZQ==")  # RFC 6455, section 1.3
    assert answer == (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )


def test_a_granted_upgrade_names_what_was_agreed_on() -> None:
    answer = encode_upgrade(Accepted(_NOBODY, "chat", 15, {"X-Server": "1"}), "dGhlIHNhbXBsZSBub25jZQ==")
    *fields, end, nothing = answer.split(b"\r\n")[1:]
    assert end == nothing == b""
    assert b"X-Server: 1" in fields
    assert b"Sec-WebSocket-Protocol: chat" in fields
    [extension] = [field for field in fields if field.startswith(b"Sec-WebSocket-Extensions: ")]
    assert extension.startswith(b"Sec-WebSocket-Extensions: permessage-deflate")
