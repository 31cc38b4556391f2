"""The one place that decides what a server listens with."""

from __future__ import annotations

from crosswire.transport.picows_listener import PicowsListener

make_listener = PicowsListener
"""Makes the listener of a server, on TCP, TLS or a Unix socket."""
