"""Subscribes to the channels of the users and rooms that have connections on this server."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from crosswire.cluster.client_channels import ClientChannels
from crosswire.core.timeline import Timeline

GetChannels = Callable[[], ClientChannels | None]
"""Returns the channels of the server's clients; None if the server does not run, or can have no other servers."""


def no_channels() -> None:
    """Return None, as a server that is alone has no channels."""


class Subscriptions:
    """Subscriptions to the channels of the users and rooms on this server. Without a cluster it does nothing."""

    __slots__ = ("_channels",)

    def __init__(self) -> None:
        self._channels: GetChannels = no_channels

    def attach(self, channels: GetChannels) -> None:
        """Use these channels from now on."""
        self._channels = channels

    def add_user(self, user: str) -> None:
        """Listen on the channel of a user whose first connection has come."""
        if (channels := self._channels()) is not None:
            channels.subscribe_user(user)

    def remove_user(self, user: str) -> None:
        """Leave the channel of a user whose last connection is gone."""
        if (channels := self._channels()) is not None:
            channels.unsubscribe_user(user)

    def keeps_history(self, namespace: str) -> bool:
        """Return whether the rooms of a namespace keep their last messages."""
        channels = self._channels()
        return channels is not None and channels.keeps_history(namespace)

    def timeline(self, namespace: str, id: str) -> Timeline | None:
        """Return the last messages of a room that is subscribed; None if it keeps none."""
        channels = self._channels()
        return None if channels is None else channels.timeline(namespace, id)

    def add_room(self, namespace: str, id: str) -> None:
        """Listen on the channel of a room that its first member joins, or is about to join.

        Raises:
            UsageError: the room can't be named in this cluster.
        """
        if (channels := self._channels()) is not None:
            channels.subscribe_room(namespace, id)

    def remove_room(self, namespace: str, id: str) -> None:
        """Leave the channel of a room that its last member has left."""
        if (channels := self._channels()) is not None:
            channels.unsubscribe_room(namespace, id)

    def room_ready(self, namespace: str, id: str) -> Coroutine[Any, Any, None] | None:
        """Return a coroutine that waits until messages to a room, published anywhere, come here; None if they do.

        If the room keeps history, it waits too until that is known.

        Raises:
            BusUnavailable: when awaited, if the bus refuses the subscription.
        """
        channels = self._channels()
        return None if channels is None else channels.room_ready(namespace, id)
