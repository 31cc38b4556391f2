"""Writes plain HTTP answers (RFC 9112, section 4). Each is the last of its connection."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus

from crosswire.transport.interface import Response

_BODILESS = (204, 304)  # RFC 9110, section 6.4.1


def encode_answer(response: Response, *, with_body: bool = True) -> bytes:
    """Return the bytes of an answer.

    Args:
        response: what to answer.
        with_body: False for an answer to HEAD: the same fields, and no body (RFC 9110, section 9.3.2).
    """
    fields = {"Date": formatdate(usegmt=True)}
    if response.status not in _BODILESS:
        fields["Content-Length"] = str(len(response.body))
        if response.body:
            fields["Content-Type"] = "text/plain; charset=utf-8"
    given = {name.lower() for name in response.headers}
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if name.lower() not in given]
    lines += [f"{name}: {value}\r\n" for name, value in response.headers.items()]
    head = f"HTTP/1.1 {response.status} {_phrase(response.status)}\r\n{''.join(lines)}Connection: close\r\n\r\n"
    body = response.body if with_body and response.status not in _BODILESS else b""
    return head.encode("latin-1") + body


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # not every number has a name
        return ""
