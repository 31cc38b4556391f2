"""Serving in one process that starts anew whenever the code changes, for development."""

from __future__ import annotations

import asyncio
import logging
import sys
from importlib import import_module

from django.utils import autoreload

from crosswire.cli.failures import CommandFailed, described
from crosswire.cli.target import load_application, load_server
from crosswire.errors import CrosswireError
from crosswire.runtime.process import LOG_FORMAT
from crosswire.server.server import Server


def serve_with_reload(target: str, *, host: str | None, port: int | None, app: str | None) -> None:
    """Serve until Ctrl-C, as ``runserver`` does: its reloader starts the process anew.

    Args:
        target: ``module:attribute`` of the server.
        host: address to listen on; None for the server's own.
        port: port to listen on; None for the server's own.
        app: ``module:attribute`` of an ASGI application on the same port; None for the server's own.
    """
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    autoreload.run_with_reloader(_serve, target, host, port, app)


def _serve(target: str, host: str | None, port: int | None, app: str | None) -> None:
    """Serve in the thread that the reloader gives. What fails is printed, and waits for a change of the code."""
    # Not inside load_server: the reloader learns from the exception which file it has to watch.
    for name in (target, app):
        if name is not None:
            import_module(name.partition(":")[0])
    try:
        server = load_server(target)
        server.configure(host=host, port=port, app=None if app is None else load_application(app))
        # Not on uvloop: the reloader ends the interpreter while this thread runs, and what comes on the loop after that
        # would end the process with a segmentation fault; then it is not started anew.
        asyncio.run(_run(server))
    except CommandFailed as failure:
        print(failure.text, file=sys.stderr, flush=True)
    except CrosswireError as error:
        print(described(error), file=sys.stderr, flush=True)


async def _run(server: Server) -> None:
    async with server:
        await asyncio.Event().wait()
