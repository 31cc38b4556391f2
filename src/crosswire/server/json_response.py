"""Makes HTTP responses of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crosswire.core.codecs import JSON
from crosswire.transport.interface import Response


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with data as JSON.

    Raises:
        InvalidPayload: the data has no JSON form.
    """
    return Response(status, JSON.encode(data), {"Content-Type": "application/json", **(headers or {})})


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a refusal as JSON: a code for programs and a text for people."""
    return json_response({"error": {"code": code, "message": message}}, status, headers)
