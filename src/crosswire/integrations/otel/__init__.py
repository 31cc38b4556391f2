"""Traces with OpenTelemetry: the extra ``crosswire[otel]``.

:func:`instrument` makes spans for the handlers and the calls of a server, a node or a client, joined across processes
by the ``traceparent`` of W3C Trace Context. What is not instrumented costs nothing.
"""

from __future__ import annotations

from crosswire.client.client import Client
from crosswire.cluster.node import Node
from crosswire.errors import ConfigError
from crosswire.server.server import Server

try:
    from opentelemetry.trace import TracerProvider

    from crosswire.integrations.otel.client_tracing import ClientTracing
    from crosswire.integrations.otel.node_tracing import NodeTracing
    from crosswire.integrations.otel.server_tracing import ServerTracing
    from crosswire.integrations.otel.spans import Spans
except ImportError as error:
    raise ConfigError("traces need opentelemetry-api: pip install 'crosswire[otel]'") from error

__all__ = ["instrument"]


def instrument(member: Server | Node | Client, *, tracer_provider: TracerProvider | None = None) -> None:
    """Make spans for what a server and its node, a node or a client handles and asks.

    Args:
        member: before it is started or connected.
        tracer_provider: makes the spans; None for the global one of OpenTelemetry.

    Raises:
        ConfigError: it runs already, or is a client that is instrumented already.

    Example::

        from crosswire.integrations.otel import instrument

        instrument(server)
    """
    spans = Spans(tracer_provider)
    if isinstance(member, Server):
        member.instruments.observe(ServerTracing(spans), NodeTracing(spans))
    elif isinstance(member, Node):
        member.instruments.observe(NodeTracing(spans))
    else:
        member.observe(ClientTracing(spans))
