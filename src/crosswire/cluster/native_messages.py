"""Sending messages for clients in our own dialect, for nodes and for emitters."""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic, Protocol, TypeVar

from crosswire.core import envelopes
from crosswire.core.channel_names import Channels
from crosswire.core.envelopes import BatchKind, ClientBatch, ClientMessage
from crosswire.core.formats import EncodedMessage
from crosswire.core.targets import Excluded, Target, ToRoom, ToUsers

_MAX_BYTES_OF_CHARACTER = 4
"""Bytes that a character in the name of a channel takes at most."""


class NumberedPublisher(Protocol):
    """Publishes messages with their place in the order of the sender's messages."""

    def publish_joined(self, channel: bytes, body: bytes, kind: BatchKind) -> None:
        """Publish a message on a channel, with others of a batch if there are some at the same time."""

    def require_room(self, sizes: Collection[int]) -> None:
        """Check that none of several messages will be refused; ``sizes`` are of channel and body together, in bytes.

        Raises:
            BusUnavailable: one of them would be refused.
        """


PortT = TypeVar("PortT", bound=NumberedPublisher)


class NativeClientMessages(Generic[PortT]):
    """Base of what sends messages for clients in our own dialect; a base, as this is the way of every message.

    Args:
        port: publishes the messages.
        channels: the names of the channels.
    """

    def __init__(self, port: PortT, channels: Channels) -> None:
        self._port = port
        self._channels = channels

    def to_clients(self, target: Target, message: EncodedMessage, exclude: Excluded | None) -> None:
        """Publish a message for clients: on the channel of each user, of the room, or of all clients."""
        users, sockets = ((), ()) if exclude is None else (exclude.users, exclude.sockets)
        if type(target) is ToUsers:
            body = envelopes.encode(ClientMessage(message.json, (), message.msgpack, sockets, message.policy))
            named: Collection[str] = target.users
            if len(named) > 1:
                named = dict.fromkeys(named)  # each once
                self._port.require_room([len(user) * _MAX_BYTES_OF_CHARACTER + len(body) for user in named])
            for user in named:
                if user not in users:
                    self._port.publish_joined(self._channels.user(user), body, ClientBatch)
            return
        body = envelopes.encode(ClientMessage(message.json, users, message.msgpack, sockets, message.policy))
        if isinstance(target, ToRoom):
            self._port.publish_joined(self._channels.room(target.namespace, target.id), body, ClientBatch)
        else:
            self._port.publish_joined(self._channels.everyone, body, ClientBatch)
