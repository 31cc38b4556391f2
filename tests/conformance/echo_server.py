"""A Crosswire server that echoes every message, for the Autobahn test suite.

It prints ``PORT n`` when it listens, and runs until SIGINT or SIGTERM.
"""

from __future__ import annotations

import argparse

from crosswire import Heartbeat, Limits, Server, Socket

_MEBIBYTE = 1024 * 1024
# Larger than all that the suite sends: messages of 16 MiB, 65,536 fragments.
_LIMITS = Limits(max_message=32 * _MEBIBYTE, outbox=64 * _MEBIBYTE, fragments=200_000)
# The suite counts every frame, so no pings; and its empty messages are messages, not heartbeats.
_HEARTBEAT = Heartbeat(interval=3600, timeout=3600, text="\0 no message of the test suite \0")


def echo_server(*, compression: bool) -> Server:
    """Return the server, on a free port."""
    server = Server(port=0, limits=_LIMITS, heartbeat=_HEARTBEAT, compression=compression)

    @server.on_listening
    def announce() -> None:
        print(f"PORT {server.port}", flush=True)

    @server.on_message
    def echo(socket: Socket, raw: str | bytes) -> None:
        socket.send_raw(raw)

    return server


def main() -> None:
    """Run the echo server until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compression", action="store_true", help="negotiate permessage-deflate")
    echo_server(compression=parser.parse_args().compression).run()


if __name__ == "__main__":
    main()
