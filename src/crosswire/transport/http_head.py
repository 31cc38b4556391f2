"""Reads one HTTP request with httptools' parser: its line and header fields, and its body if that is wanted."""

from __future__ import annotations

import re

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from crosswire.core.headers import Headers
from crosswire.core.limits import Limits
from crosswire.transport.http_rules import (
    BadRequestHead,
    announces_body,
    are_usual,
    check_head,
    checked_target,
)

_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_METHOD = re.compile(rb"[A-Z][A-Z-]{0,31} ")
_LINE_BREAKS = (b"\r", b"\n")


class RequestHead:
    """Parser of the head of one request, which arrives in parts.

    Args:
        limits: of its size.

    Attributes:
        method: such as ``GET``; this and the rest are set once :meth:`feed` has returned True.
        target: path and query. Bytes beyond ASCII are percent-encoded in it.
        headers: header fields.
        upgrade: whether the request may change the protocol: it is of HTTP/1.1, names one, and has no body.
        rest: bytes behind the request, which belong to the other protocol; or behind the head, and not parsed yet.
        whole: whether the request is complete with its body, and nothing but ``rest`` came behind it.
        body: what has come of the body, at most one byte more than ``Limits.max_message``.
    """

    __slots__ = (
        "_begun",
        "_behind_body",
        "_body_error",
        "_complete",
        "_ended",
        "_fed",
        "_fields",
        "_in_fields",
        "_limits",
        "_parser",
        "_target",
        "_upgraded",
        "_version",
        "body",
        "headers",
        "method",
        "rest",
        "target",
        "upgrade",
        "whole",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._fed = 0
        self._begun = False  # whether more has come than line breaks
        self._in_fields = False
        self._target = b""
        self._fields: list[bytes] = []
        self._complete = False
        self._ended = False
        self._upgraded = False
        self._body_error: HttpParserError | None = None
        self._behind_body = 0  # bytes since the last one of the body: the parser keeps what is no body until it ends
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._version = ""
        self.method = ""
        self.target = ""
        self.headers: Headers
        self.upgrade = False
        self.rest = b""
        self.whole = False
        self.body = bytearray()

    def feed(self, data: bytes) -> bool:
        """Parse bytes, and return whether the head is complete. Must not be called again after that.

        Raises:
            BadRequestHead: the head is invalid or too large.
        """
        assert self._parser is not None, "a head is complete once"
        room = self._limits.header_size - self._fed
        self._fed += len(data)
        part = data if len(data) <= room else data[:room]
        if not self._begun:
            if part[:1] in _LINE_BREAKS:  # RFC 9112, section 2.2
                part = part.lstrip(b"\r\n")
            self._begun = bool(part)
        if not part.isascii():
            part = self._escaped(part)
        try:
            self._parser.feed_data(part)
        except HttpParserUpgrade as upgrade:
            self.rest = part[upgrade.args[0] :]
            self._upgraded = True
        except HttpParserError as error:
            if not self._complete:
                raise _unreadable(error, part) from None
            self._note_error(error)
        if len(data) > room:
            if not self._complete:
                raise self._too_large(part)
            self.rest += data[room:]
        if self._complete:
            self._finish(self._parser)
            return True
        self._note_line(self._parser, part)
        return False

    @property
    def announces_body(self) -> bool:
        """Whether the request has a body."""
        return announces_body(self.headers)

    @property
    def awaits_continue(self) -> bool:
        """Whether the peer waits for ``100 Continue`` before it sends the body (RFC 9110, section 10.1.1)."""
        if self._parser is None or self.body or not self.headers.has_token("expect", "100-continue"):
            return False
        return self._version == "1.1"

    def begin_body(self) -> bool:
        """Parse the bytes that came together with the head; return as :meth:`feed_body` does, and raise the same."""
        rest, self.rest = self.rest, b""
        if self._upgraded:
            # The parser takes the body for bytes of the other protocol. Java's client, for one, offers HTTP/2 with
            # every request. So another parser reads the body.
            self._parser, self._ended = HttpRequestParser(self), False
            rest = self._head_without_upgrade() + rest
        return self.feed_body(rest)

    def feed_body(self, data: bytes) -> bool:
        """Parse bytes of the body, and return whether it is complete or larger than ``Limits.max_message``.

        Raises:
            BadRequestHead: the body is invalid.
        """
        if self._parser is not None and data:
            self._behind_body += len(data)
            try:
                self._parser.feed_data(data)
            except HttpParserError as error:
                self._note_error(error)
            if self._behind_body > self._limits.header_size and not self._ended:
                raise BadRequestHead(431, "the fields of chunks, or behind a body, are too large")
        if self._body_error is not None:
            raise BadRequestHead(400, f"the body of this request can't be read: {self._body_error}")
        return self._ended or len(self.body) > self._limits.max_message

    def forget(self) -> None:
        """Drop the parser, which has a reference to this object: without the cycle both are freed at once."""
        self._parser = None

    # Callbacks of the parser

    def on_url(self, part: bytes) -> None:
        """Add a part of the target."""
        if self._ended:
            raise ValueError("one request is read, and no second one")
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header field of the request."""
        if not self._complete:  # if not, it is a trailer behind a chunked body
            self._fields += (name.lower(), b": ", value.strip(), b"\r\n")

    def on_headers_complete(self) -> None:
        """Note the end of the head, with what the parser says of it: it may go on to a next request at once."""
        parser = self._parser
        if parser is not None and not self._complete:
            self._complete = True
            self.method = parser.get_method().decode("ascii")
            self._version = parser.get_http_version()
            self.upgrade = parser.should_upgrade()

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body, if it is not too large already."""
        self.body += part[: self._limits.max_message + 1 - len(self.body)]
        self._behind_body = 0

    def on_message_complete(self) -> None:
        """Note the end of the request, with or without a body."""
        self.whole = self._ended = True

    def _head_without_upgrade(self) -> bytes:
        name = "transfer-encoding" if "transfer-encoding" in self.headers else "content-length"
        return f"POST / HTTP/1.1\r\n{name}: {self.headers[name]}\r\n\r\n".encode("latin-1")

    def _note_error(self, error: HttpParserError) -> None:
        """Keep an error in the body; behind the body there is none, only bytes that are ignored."""
        self.whole = False
        if not self._ended:
            self._body_error = error

    def _note_line(self, parser: HttpRequestParser, part: bytes) -> None:
        """Note the end of the request line; that of HTTP/0.9 has no fields behind it."""
        if not self._in_fields and b"\n" in part:
            self._in_fields = True
            if self._target and parser.get_http_version().startswith("0."):
                raise BadRequestHead(400, "HTTP/0.9 is not spoken here")

    def _escaped(self, part: bytes) -> bytes:
        """Percent-encode the bytes beyond ASCII in the request line.

        Command line tools and small clients send such bytes as they are, and the parser refuses them.
        """
        if self._in_fields:
            return part
        line, end, fields = part.partition(b"\n")
        return _BEYOND_ASCII.sub(lambda match: b"%%%02X" % match[0][0], line) + end + fields

    def _too_large(self, part: bytes) -> BadRequestHead:
        if self._in_fields or b"\n" in part:
            return BadRequestHead(431, f"the head of this request is larger than {self._limits.header_size} bytes")
        return BadRequestHead(414, f"the request line is longer than {self._limits.header_size} bytes")

    def _finish(self, parser: HttpRequestParser) -> None:
        self._parser = None if self._ended else parser
        if len(self._fields) > 4 * self._limits.headers:
            raise BadRequestHead(431, f"there are more than {self._limits.headers} header fields")
        text = "\r\n" + b"".join(self._fields).decode("latin-1")
        self.headers = headers = Headers.of_text(text)
        if self._version != "1.1" or not are_usual(text):
            check_head(self._version, self.method, headers)
            self.upgrade = self.upgrade and self._version == "1.1" and not announces_body(headers)
        self.target = checked_target(self.method, self._target.decode("ascii"))


def _unreadable(error: HttpParserError, part: bytes) -> BadRequestHead:
    if isinstance(error, HttpParserInvalidMethodError) and _METHOD.match(part):
        return BadRequestHead(501, "this method is not known here")  # RFC 9110, section 9.1
    return BadRequestHead(400, f"this is no HTTP request: {error}")
