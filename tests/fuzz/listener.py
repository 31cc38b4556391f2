"""Bytes into the listener, from the first one on: HTTP requests, upgrades, and what is neither."""

from __future__ import annotations

from tests.fuzz.connections import FuzzedServer
from tests.fuzz.http_head import UNKNOWN_METHOD
from tests.fuzz.server_output import check_frames, statuses
from tests.fuzz.target import Finding


class ListenerTarget:
    """Target of the listener of a server."""

    def start(self) -> None:
        """Start a server."""
        self._fuzzed = FuzzedServer(compression=True, path="/ws")

    def run(self, data: bytes) -> None:
        """Send the bytes at once, and in two parts; the first status is the same."""
        whole = self._exchange([data])
        middle = len(data) // 2
        parted = self._exchange([data[:middle], data[middle:]])
        if whole[:1] != parted[:1] and {*whole, *parted} not in ({414, 431}, UNKNOWN_METHOD):
            raise Finding(f"at once it was answered with {whole}, in two parts with {parted}")

    def stop(self) -> None:
        """Stop the server."""
        self._fuzzed.close()

    def _exchange(self, parts: list[bytes]) -> list[int]:
        found, rest = statuses(self._fuzzed.exchange(parts))
        if found[-1:] == [101]:
            check_frames(rest)
        elif rest:
            raise Finding(f"behind the body of the answer: {rest[:100]!r}")
        return found
