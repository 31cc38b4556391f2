"""A well-behaved client, in a process of its own: ``python -m tests.support.witness_program PORT``.

It calls ``echo`` every few milliseconds until standard input ends, and then prints its latencies, in milliseconds. With
each line on standard input it forgets those up to then.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

from crosswire.core.frames import Opcode, encode_frame
from crosswire.testing.socket_peer import masked, upgrade_request

INTERVAL = 0.003
"""Seconds between an answer and the next call."""
TIMEOUT = 30.0
"""Seconds that an answer may take."""

_CALL = masked(encode_frame(Opcode.TEXT, b'{"event": "echo", "callbackId": "1", "payload": 1}'))


def main() -> None:
    """Call until standard input ends, and print the latencies."""
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=TIMEOUT) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(upgrade_request(f"/?user=witness&id=witness-{sys.argv[1]}"))
        _read_until(connection, b"\r\n\r\n")
        _call(connection)
        print(json.dumps({"started": True}), flush=True)
        latencies: list[float] = []
        while True:
            if select.select([sys.stdin], [], [], INTERVAL)[0]:
                if not sys.stdin.readline():
                    break
                latencies.clear()
            latencies += _with_missed(_call(connection))
    print(json.dumps({"latencies": [round(each, 3) for each in latencies]}))


def _call(connection: socket.socket) -> float:
    """Return the milliseconds of a call."""
    start = time.perf_counter()
    connection.sendall(_CALL)
    _read_until(connection, b"}")
    return (time.perf_counter() - start) * 1000


def _with_missed(latency: float) -> list[float]:
    """Return a latency, and those of the calls that would have been made while it was waited for."""
    missed = [latency]
    while missed[-1] > INTERVAL * 1000:
        missed.append(missed[-1] - INTERVAL * 1000)
    return missed


def _read_until(connection: socket.socket, end: bytes) -> None:
    data = b""
    while not data.endswith(end):
        part = connection.recv(65536)
        if not part:
            raise ConnectionError("the server has closed the connection of the witness")
        data += part


if __name__ == "__main__":
    main()
