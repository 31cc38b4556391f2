"""The error of a method of a socket whose connection is closed."""

from __future__ import annotations

from crosswire.errors import NotConnected


class ClientGone(NotConnected):
    """A connection that a method of its socket needed is closed, which is no mistake of a handler of the same client.

    Args:
        client: whose connection it was.
        text: what was to be done.

    Attributes:
        client: as given.
    """

    def __init__(self, client: object, text: str) -> None:
        super().__init__(text)
        self.client = client
