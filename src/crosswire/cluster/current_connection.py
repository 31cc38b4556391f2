"""The connection of a node that runs, and the thread that may use it."""

from __future__ import annotations

from crosswire.cluster.connection import ClusterConnection


class CurrentConnection:
    """The connection of a node while it runs.

    The lifecycle changes it. What runs for every message reads it here, which costs no call.

    Attributes:
        connection: None before the node has started, and after it was stopped.
        thread: of the event loop.
    """

    __slots__ = ("connection", "thread")

    def __init__(self) -> None:
        self.connection: ClusterConnection | None = None
        self.thread = 0
