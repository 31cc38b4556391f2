"""Clients that connect, join, leave and go, over and over: ``python -m tests.soak.cycle_program JSON``.

Half of them are broken off with an RST: after the join, inside a frame, before the answer to the upgrade, or before the
request is whole. It prints how many cycles it has run when it is asked to, by a line on stdin.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from typing import Any

from crosswire.testing.socket_peer import upgrade_request
from tests.support.attacks import event, frame

_RESET = struct.pack("ii", 1, 0)
_TIMEOUT = 20
_CLOSE = frame(0x8, b"\x03\xe8")
_SOURCES = 200
"""Addresses of the loopback network that clients come from: each has ports for some 10,000 connections a minute."""


def cycle(number: int, port: int) -> None:
    """Run a cycle of a client."""
    kind = number % 8
    with socket.socket() as own:
        own.settimeout(_TIMEOUT)
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        own.bind((f"127.0.1.{number % _SOURCES + 1}", 0))
        own.connect(("127.0.0.1", port))
        request = upgrade_request(f"/?id=user-{number}")
        join = event("join", f"room-{number % 1000}", "j")
        if kind < 4:
            own.sendall(request + join + event("leave", f"room-{number % 1000}", "l"))
            _read_until(own, b'"l"')
            own.sendall(_CLOSE)
            while own.recv(4096):
                pass
            return
        if kind == 4:
            own.sendall(request + join)
            _read_until(own, b'"j"')
        elif kind == 5:
            own.sendall(request + join + join[:7])
            _read_until(own, b"101 ")
        elif kind == 6:
            own.sendall(request)
        else:
            own.sendall(request[:50])
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _read_until(own: socket.socket, end: bytes) -> None:
    data = b""
    while end not in data:
        part = own.recv(4096)
        if not part:
            raise ConnectionError(f"the server has closed the connection: {data!r}")
        data += part


def main(options: dict[str, Any]) -> None:
    """Run cycles until there are enough, or time is over, or stdin ends."""
    begun, done, failed, asked = time.monotonic(), 0, 0, True
    first, step = options["first"], options["step"]
    while done < options["cycles"] and time.monotonic() - begun < options["seconds"]:
        try:
            cycle(first + done * step, options["port"])
        except OSError as error:
            failed += 1
            if failed > 10:
                raise
            print(json.dumps({"what": "failed", "error": repr(error)}), flush=True)
        done += 1
        if done % 64 == 0 and select.select([sys.stdin], [], [], 0)[0]:
            asked = bool(sys.stdin.readline())
            if not asked:
                break
            print(json.dumps({"what": "count", "count": done}), flush=True)
    print(json.dumps({"what": "done", "count": done, "failed": failed}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
