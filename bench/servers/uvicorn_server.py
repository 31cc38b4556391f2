"""uvicorn with the application that is measured, on uvloop and httptools, without an access log.

Run it as `python -m bench.servers.uvicorn_server`. It prints `PORT n` when it listens and stops on SIGTERM.
"""

from __future__ import annotations

import socket
from typing import Any, Literal

import uvicorn

from bench.servers.plain_application import application


def serve(served: Any, lifespan: Literal["on", "off"] = "off", cert: str | None = None, key: str | None = None) -> None:
    """Serve an ASGI application until SIGTERM, its WebSockets as uvicorn does by default; with a certificate by TLS."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        served,
        loop="uvloop",
        http="httptools",
        lifespan=lifespan,
        access_log=False,
        log_level="warning",
        ssl_certfile=cert,
        ssl_keyfile=key,
    )
    print(f"PORT {listening.getsockname()[1]}", flush=True)  # what connects now waits in the backlog
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    serve(application)
