"""Encodes HTTP responses (RFC 9112, section 4): plain ones, each the last of its connection, and granted upgrades."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from email.utils import formatdate
from hashlib import sha1
from http import HTTPStatus

from crosswire.core import deflate
from crosswire.core.headers import FIELD_VALUE, TOKEN
from crosswire.errors import UsageError
from crosswire.transport.interface import Accepted, Response

BODILESS_STATUSES = (204, 304)
"""Statuses of responses without a body (RFC 9110, section 6.4.1)."""

_OWN_FIELDS = ("connection", "content-length", "transfer-encoding")
"""Names of fields that the server sets itself."""


def require_sendable(response: Response) -> Response:
    """Return an application's response if it can be sent.

    Raises:
        UsageError: its status, body or headers can't be sent.
    """
    status: object = response.status
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise UsageError(f"Response(status={status!r}): give a number from 200 to 599")
    if not isinstance(response.body, bytes):
        raise UsageError(f"Response(body): give bytes, not {type(response.body).__name__}; text.encode() makes them")
    if not isinstance(response.headers, Mapping):
        raise UsageError(f"Response(headers): give a dict, not {type(response.headers).__name__}")
    for name, value in response.headers.items():
        _require_field(name, value)
    return response


def _require_field(name: object, value: object) -> None:
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        raise UsageError(f"Response(headers): {name!r} can't be the name of a field")
    if name.lower() in _OWN_FIELDS:
        raise UsageError(f"Response(headers): the server itself sets {name}: leave it away")
    if not isinstance(value, str) or not FIELD_VALUE.fullmatch(value):
        raise UsageError(f"Response(headers): the value of {name} must be a string without line breaks, in Latin-1")


def encode_response(response: Response, *, with_body: bool = True) -> bytes:
    """Return the bytes of a response.

    Args:
        response: to encode.
        with_body: False for the response to HEAD: the same fields, and no body (RFC 9110, section 9.3.2).
    """
    fields = {"Date": formatdate(usegmt=True)}
    if response.status not in BODILESS_STATUSES:
        fields["Content-Length"] = str(len(response.body))
        if response.body:
            fields["Content-Type"] = "text/plain; charset=utf-8"
    given = {name.lower() for name in response.headers}
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if name.lower() not in given]
    lines += [f"{name}: {value}\r\n" for name, value in response.headers.items()]
    head = f"HTTP/1.1 {int(response.status)} {_phrase(response.status)}\r\n{''.join(lines)}Connection: close\r\n\r\n"
    body = response.body if with_body and response.status not in BODILESS_STATUSES else b""
    return head.encode("latin-1") + body


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # not every status has a phrase
        return ""


_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Put behind the client's key in the digest (RFC 6455, section 1.3)."""


def encode_upgrade(accepted: Accepted, key: str) -> bytes:
    """Return the response that grants an upgrade to a WebSocket.

    Args:
        accepted: what is granted.
        key: of the request.
    """
    digest = sha1(f"{key}{_GUID}".encode("latin-1"), usedforsecurity=False).digest()
    accept = b2a_base64(digest, newline=False).decode("ascii")
    fields = ""
    for name, value in accepted.headers.items():
        fields += f"{name}: {value}\r\n"
    if accepted.subprotocol is not None:
        fields += f"Sec-WebSocket-Protocol: {accepted.subprotocol}\r\n"
    if accepted.window_bits:
        fields += f"Sec-WebSocket-Extensions: {deflate.response(accepted.window_bits)}\r\n"
    head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
    return f"{head}{accept}\r\n{fields}\r\n".encode("latin-1")
