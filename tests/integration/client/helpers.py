"""Helpers of the client's tests."""

from __future__ import annotations

from typing import Any

from crosswire.client import Client
from crosswire.types import Close


class HookRecorder:
    """Recorder of a client's hooks, in order."""

    def __init__(self, client: Client) -> None:
        self.events: list[str] = []
        self.closes: list[Close] = []
        self.errors: list[BaseException] = []
        self.retries: list[tuple[int, float]] = []
        client.on_open(lambda: self.events.append("open"))
        client.on_close(self._closed)
        client.on_error(self._failed)
        client.on_reconnect(self._retry)
        client.on_give_up(lambda limit: self.events.append(f"give up {limit}"))
        client.on_pong_timeout(lambda: self.events.append("pong timeout"))

    def count(self, event: str) -> int:
        return self.events.count(event)

    def _closed(self, close: Close) -> None:
        self.events.append("close")
        self.closes.append(close)

    def _failed(self, error: BaseException) -> None:
        self.events.append("error")
        self.errors.append(error)

    def _retry(self, attempt: int, delay: float) -> None:
        self.events.append("reconnect")
        self.retries.append((attempt, delay))


def quick_client(url: str, **options: Any) -> Client:
    """Return a client with delays of 20 ms at most."""
    return Client(url, **{"fast_interval": 0.02, "max_interval": 0.02, **options})
