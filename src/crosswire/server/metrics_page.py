"""The page of a server with its metrics."""

from __future__ import annotations

from collections.abc import Callable

from crosswire.core.metric_families import Families
from crosswire.runtime.prometheus import Exposition
from crosswire.server.handshake import Handshake
from crosswire.transport.interface import Response


def metrics_page(families: Families) -> Callable[[Handshake], Response]:
    """Return the handler of ``GET /metrics``.

    Raises:
        ConfigError: prometheus-client is not installed.
    """
    exposition = Exposition(families)

    def answer(request: Handshake) -> Response:
        body, content_type = exposition.text(request.headers.get("accept", ""))
        return Response(200, body, {"Content-Type": content_type, "Cache-Control": "no-store"})

    return answer
