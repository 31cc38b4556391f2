"""The one place that decides what a server listens with, and by what it serves an application on its port."""

from __future__ import annotations

from collections.abc import Callable

from crosswire.core.limits import Limits
from crosswire.errors import ConfigError
from crosswire.transport.interface import AsgiApplication, HttpApplication, HttpRequest
from crosswire.transport.picows_listener import PicowsListener

make_listener = PicowsListener
"""Makes the listener of a server, on TCP, TLS or a Unix socket."""


def make_application(
    app: AsgiApplication, takes_websocket: Callable[[HttpRequest], bool], limits: Limits
) -> HttpApplication:
    """Make what serves an application on the port of a server.

    Args:
        app: gets all requests that the server hands over.
        takes_websocket: returns whether a request is for a WebSocket of the server.
        limits: of the connections.

    Raises:
        ConfigError: uvicorn is not installed.
    """
    try:
        from crosswire.transport.uvicorn_application import UvicornApplication
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "uvicorn":
            raise
        raise ConfigError(
            "app= is served by uvicorn's HTTP, which is not installed: pip install 'crosswire[http]'"
        ) from error
    return UvicornApplication(app, takes_websocket, limits)
