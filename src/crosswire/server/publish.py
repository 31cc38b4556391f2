"""The HTTP endpoint by which other programs send to users, rooms and everyone: ``POST /publish``."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from crosswire.core.codecs import JSON
from crosswire.core.limits import Limits
from crosswire.errors import BusUnavailable, CrosswireError, InvalidMessage, NotConnected
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.server.handshake import Handshake
from crosswire.server.json_response import error_response, json_response
from crosswire.server.options import require_publish_keys
from crosswire.server.publish_messages import (
    DESCRIPTION_PATH,
    PUBLISH_PATH,
    AudienceSource,
    describe,
    read_messages,
)
from crosswire.transport.interface import Response

PUBLISH_PATHS = (PUBLISH_PATH, DESCRIPTION_PATH)
"""Paths that belong to the endpoint."""

_ALLOWED = {PUBLISH_PATH: {"Allow": "POST, OPTIONS"}, DESCRIPTION_PATH: {"Allow": "GET, HEAD, OPTIONS"}}
_RETRY_LATER = {"Retry-After": "5"}
_UNMARKED = ("", "application/x-www-form-urlencoded")
"""Media types of a body whose sender did not care: curl and PHP name the second by default."""


class PublishEndpoint:
    """Sends the messages of HTTP requests that carry a key.

    It is for servers: it grants no page of another origin anything, so no browser can use it from there (no CORS).

    Args:
        keys: any of them lets a request in.
        audiences: of the node that sends.
        max_body: bytes of a request's body.
    """

    __slots__ = ("_audiences", "_description", "_keys", "_max_body", "_warnings")

    def __init__(self, keys: Sequence[str], audiences: AudienceSource, max_body: int) -> None:
        self._keys = [key.encode() for key in keys]
        self._audiences = audiences
        self._max_body = max_body
        self._description = JSON.encode(describe(max_body))
        self._warnings = ThrottledWarnings(get_logger("crosswire.http"))

    def wants_body(self, request: Handshake, method: str) -> bool:
        """Return whether a request is refused or answered by what its body says."""
        return request.path == PUBLISH_PATH and method == "POST" and self._refusal(request) is None

    def answer(self, request: Handshake, method: str, body: bytes) -> Response:
        """Answer a request to one of ``PUBLISH_PATHS``."""
        allowed = _ALLOWED[request.path]
        if method == "OPTIONS":
            return Response(204, headers=allowed)
        if method not in allowed["Allow"].split(", "):
            return error_response(405, "METHOD_NOT_ALLOWED", f"use {allowed['Allow']}", allowed)
        if request.path == DESCRIPTION_PATH:
            return Response(body=self._description, headers={"Content-Type": "application/json"})
        if (refusal := self._refusal(request)) is not None:
            self._warnings.warn(
                f"publish {refusal.status}", "a publish from %r was refused with %d", request.remote, refusal.status
            )
            return refusal
        return self._too_large() if len(body) > self._max_body else self._publish(body)

    def _refusal(self, request: Handshake) -> Response | None:
        """Return the refusal of a request that does not depend on its body, else None."""
        headers = request.headers
        if not self._has_key(headers.get("authorization", "")):
            text = "send a key of this server: `Authorization: Bearer KEY`"
            return error_response(401, "UNAUTHORIZED", text, {"WWW-Authenticate": "Bearer"})
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in _UNMARKED and media_type != "application/json" and not media_type.endswith("+json"):
            return error_response(415, "UNSUPPORTED_MEDIA_TYPE", "send JSON: `Content-Type: application/json`")
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            return error_response(415, "UNSUPPORTED_MEDIA_TYPE", "send the body without a Content-Encoding")
        length = headers.get("content-length", "")
        return self._too_large() if length.isdecimal() and int(length) > self._max_body else None

    def _has_key(self, credentials: str) -> bool:
        """Return whether credentials have one of the keys; how long that takes tells none of its characters."""
        scheme, _, given = credentials.partition(" ")
        token = given.strip().encode("utf-8", "replace")
        return any(hmac.compare_digest(key, token) for key in self._keys) and scheme.lower() == "bearer"

    def _too_large(self) -> Response:
        return error_response(413, "TOO_LARGE", f"a body may have {self._max_body} bytes: send several requests")

    def _publish(self, body: bytes) -> Response:
        try:
            messages = read_messages(body, self._audiences)
        except InvalidMessage as error:
            return error_response(422, error.code, error.message)
        except ValueError as error:
            return error_response(400, "INVALID_JSON", f"the body is no JSON: {error}")
        sent = 0
        try:
            for message in messages:
                message.send()
                sent += 1
        except CrosswireError as error:
            return _failed(error, sent)
        return json_response({"sent": sent})


def _failed(error: CrosswireError, sent: int) -> Response:
    """Return the response to messages of which only the first ``sent`` could be sent."""
    unavailable = isinstance(error, BusUnavailable | NotConnected)
    content = {"error": {"code": error.code, "message": str(error)}, "sent": sent}
    return json_response(content, 503 if unavailable else 422, _RETRY_LATER if unavailable else None)


def publish_endpoint(keys: object, audiences: AudienceSource, limits: Limits) -> PublishEndpoint | None:
    """Return the endpoint for these keys, or None if there are none.

    Raises:
        ConfigError: a key can't be used.
    """
    checked = require_publish_keys(keys)
    return PublishEndpoint(checked, audiences, limits.max_message) if checked else None
