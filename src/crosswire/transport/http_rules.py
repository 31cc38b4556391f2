"""Rules for the head of a request that httptools' parser does not check.

What is ambiguous is refused: a proxy in front, or an application behind, might understand it in another way, and take a
part of one request for another one (request smuggling).
"""

from __future__ import annotations

import re

from crosswire.core.headers import Headers

_HOST = r"(?:[A-Za-z0-9._~!$&'()*+;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?"
_HOST_FIELD = re.compile(rf"\r\nhost: {_HOST}\r\n")
"""Pattern of a valid Host field in the text of ``Headers``; it has no comma, as two fields in one would."""
_ORIGIN_OF_ABSOLUTE = re.compile(r"https?://[^/?#@]*", re.IGNORECASE)
_VERSIONS = ("1.1", "1.0")
_SINGLE = ("upgrade", "sec-websocket-version", "sec-websocket-key")
"""Fields that no request for a WebSocket has twice."""


class BadRequestHead(Exception):
    """The request is invalid, its head is too large, or its version or method is not supported.

    Attributes:
        status: HTTP status of the response.
        reason: text for its body.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


def check_head(version: str, method: str, headers: Headers) -> None:
    """Check the version and the fields of a request.

    Raises:
        BadRequestHead: the version is another one, there is not one valid Host field (RFC 9112, section 3.2), or it
            is not certain where the request ends (section 6), or what it asks for.
    """
    if version not in _VERSIONS:
        raise BadRequestHead(400 if version == "0.9" else 505, f"HTTP/{version} is not spoken here")
    hosts = headers.get_all("host")
    if len(hosts) != 1 and (hosts or version == "1.1"):
        raise BadRequestHead(400, "a request has one Host field")
    if hosts and _HOST_FIELD.fullmatch(f"\r\nhost: {hosts[0]}\r\n") is None:
        raise BadRequestHead(400, "the Host field is not a host")
    _check_codings(version, headers)
    if headers.has_token("upgrade", "websocket"):
        for name in _SINGLE:
            if len(headers.get_all(name)) > 1:
                raise BadRequestHead(400, f"a request for a WebSocket has one field {name}")
        if method == "GET" and announces_body(headers):
            raise BadRequestHead(400, "a request for a WebSocket has no body")


def are_usual(text: str) -> bool:
    """Return whether the fields of a request of HTTP/1.1 pass :func:`check_head`, and it has no body.

    That is found out faster than there. False where it is not certain.

    Args:
        text: the fields as ``Headers`` hold them, with names in lower case.
    """
    if text.count("\r\nhost: ") != 1 or _HOST_FIELD.search(text) is None:
        return False
    if "\r\ncontent-length: " in text or "\r\ntransfer-encoding: " in text:
        return False
    return text.count("\r\nupgrade: ") < 2 and text.count("\r\nsec-websocket-version: ") < 2


def _check_codings(version: str, headers: Headers) -> None:
    if "transfer-encoding" not in headers:
        return
    if version == "1.0":
        raise BadRequestHead(400, "HTTP/1.0 has no Transfer-Encoding")
    if "content-length" in headers:
        raise BadRequestHead(400, "a request has one of Transfer-Encoding and Content-Length")
    codings = [coding.strip(" \t").lower() for coding in headers["transfer-encoding"].split(",")]
    if codings == ["chunked"]:
        return
    if codings[-1] != "chunked" or "chunked" in codings[:-1]:
        raise BadRequestHead(400, "the last transfer coding of a request is chunked, and no other one")
    raise BadRequestHead(501, "no transfer coding but chunked is known here")


def checked_target(method: str, target: str) -> str:
    """Return path and query of a target; a client of a proxy puts the origin in front (RFC 9112, section 3.2.2).

    Raises:
        BadRequestHead: it is no target of a request with this method.
    """
    if "#" in target:
        raise BadRequestHead(400, "the target of a request has no fragment")
    if target[0] != "/":
        target = origin_form(target)
        if target[0] != "/" and not (method == "CONNECT" or (method == "OPTIONS" and target == "*")):
            raise BadRequestHead(400, "the target of a request is a path")
    return target


def origin_form(target: str) -> str:
    """Return path and query of a target if it has the origin in front, else the target."""
    if (origin := _ORIGIN_OF_ABSOLUTE.match(target)) is None:
        return target
    rest = target[origin.end() :]
    if rest[:1] == "@":
        return target
    return rest if rest.startswith("/") else "/" + rest


def announces_body(headers: Headers) -> bool:
    """Return whether a request with these header fields has a body (RFC 9112, section 6.3)."""
    return "transfer-encoding" in headers or bool(headers.get("content-length", "").strip("0"))
