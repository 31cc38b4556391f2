"""The one place that decides what a server listens with."""

from __future__ import annotations

import ssl

from crosswire.core.limits import Limits
from crosswire.core.proxies import TrustedProxies
from crosswire.runtime.flusher import Flusher
from crosswire.transport.interface import Acceptor, NetworkListener
from crosswire.transport.picows_listener import PicowsListener


def make_listener(
    acceptor: Acceptor,
    limits: Limits,
    flusher: Flusher,
    *,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    reuse_port: bool = False,
    header_senders: TrustedProxies | None = None,
) -> NetworkListener:
    """Return a listener on TCP, TLS or a Unix socket; the arguments are those of :class:`PicowsListener`."""
    return PicowsListener(
        acceptor,
        limits,
        flusher,
        host=host,
        port=port,
        tls=tls,
        reuse_port=reuse_port,
        header_senders=header_senders,
    )
