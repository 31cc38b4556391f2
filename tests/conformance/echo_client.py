"""A client of Crosswire that lets the Autobahn test suite's fuzzing server attack it, and echoes every message.

It is the WebSocket below ``crosswire.Client``: the client itself would take the suite's messages for events.
``python tests/conformance/echo_client.py URL AGENT`` runs all cases that the server at the URL offers, in order.
"""

from __future__ import annotations

import asyncio
import sys

from crosswire.transport.client_connection import ConnectTarget, connect
from crosswire.transport.open_connection import OpenConnection
from crosswire.types import Close

_MEBIBYTE = 1024 * 1024
CASE_TIMEOUT = 120
"""Seconds for one case; the longest take a few."""


class Echo:
    """Receiver that sends every message back."""

    def __init__(self) -> None:
        self.connection: OpenConnection
        self.last = ""
        self.ended = asyncio.Event()

    def opened(self, connection: OpenConnection) -> None:
        """Keep the connection, which sends the echoes."""
        self.connection = connection

    def text(self, text: str) -> None:
        """Echo a text, and keep it: it may be the answer to a question."""
        self.last = text
        self.connection.send_text(text.encode())

    def binary(self, data: bytes) -> None:
        """Echo a binary message."""
        self.connection.send_binary(data)

    def closed(self, close: Close) -> None:
        """Note the end of the connection."""
        self.ended.set()


async def visit(url: str) -> str:
    """Connect, echo until the server closes, and return the last text."""
    receiver = Echo()
    target = ConnectTarget(url, max_message=32 * _MEBIBYTE, outbox=64 * _MEBIBYTE, close_timeout=10)
    async with asyncio.timeout(CASE_TIMEOUT):
        await connect(target, receiver)
        await receiver.ended.wait()
    return receiver.last


async def run_cases(url: str, agent: str) -> None:
    """Run all cases, and let the server write its report."""
    count = int(await visit(f"{url}/getCaseCount"))
    for case in range(1, count + 1):
        await visit(f"{url}/runCase?case={case}&agent={agent}")
    await visit(f"{url}/updateReports?agent={agent}")


def main() -> None:
    """Run the cases of the server on the command line."""
    asyncio.run(run_cases(*sys.argv[1:3]))


if __name__ == "__main__":
    main()
