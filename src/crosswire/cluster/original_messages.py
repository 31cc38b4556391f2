"""The messages of the original's servers that nodes and emitters send to them."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from crosswire.core.codecs import Codec
from crosswire.core.formats import EncodedMessage
from crosswire.core.messages import ABSENT
from crosswire.core.original_channels import BRIDGE, BROADCAST, PRIVATE, rooms_channel
from crosswire.core.targets import Everyone, Excluded, Target, ToRoom, ToUsers
from crosswire.errors import UsageError

ANSWER_EVENT = "_Cs_Cb_"
"""The event of every answer."""


class _ToAll(msgspec.Struct, rename="camel"):
    data: str
    sender_server: str


class _ToOne(msgspec.Struct, rename="camel"):
    data: str
    socket_id: str
    sender_server: str


class _ToMany(msgspec.Struct, rename="camel"):
    data: str
    socket_ids: list[str]
    sender_server: str


class _ToRoom(msgspec.Struct, rename="camel"):
    data: str
    room_namespace: str
    room_id: str
    sender_server: str
    exclude_socket_ids: list[str]


class OriginalError(msgspec.Struct):
    """The refusal of a request, in a field that only Crosswire's nodes know."""

    code: str
    message: str = ""


class OriginalEvent(msgspec.Struct, rename="camel"):
    """An event, request or answer of a server. Fields that are UNSET are left out of the message."""

    event: str
    sender_server: str
    payload: msgspec.Raw = ABSENT
    target_server: list[str] = []
    callback_id: str | UnsetType = UNSET
    is_callback: bool | UnsetType = UNSET
    error: OriginalError | UnsetType = UNSET


class FromBridge(msgspec.Struct):
    """A message on the channel of all servers."""

    data: OriginalEvent


class PlainPublisher(Protocol):
    """Publishes messages without a number."""

    def publish(self, channel: bytes, body: bytes, *, plain: bool) -> None:
        """Publish a message on a channel."""


def check(target: Target, exclude: Excluded | None) -> None:
    """Check that the original has a message for an audience, before anybody gets it.

    Raises:
        UsageError: the audience can't be named to original servers.
    """
    if exclude is not None and exclude.users and isinstance(target, Everyone):
        raise UsageError("original servers can't exclude users from a message to everyone: use a room")
    if isinstance(target, ToRoom):
        rooms_channel(target.namespace)


PortT = TypeVar("PortT", bound=PlainPublisher)


class OriginalMessages(Generic[PortT]):
    """Base of what sends messages in the dialect of the original's servers; a base, as it is the way of every message.

    Args:
        port: publishes the messages.
        codec: encodes them.
        name: of the sender.

    Attributes:
        codec: as given.
    """

    def __init__(self, port: PortT, codec: Codec, name: str) -> None:
        self._port = port
        self._name = name
        self.codec = codec

    def to_clients(self, target: Target, message: EncodedMessage, exclude: Excluded | None) -> None:
        """Publish a message for clients: for everyone, for users, or for the rooms of a namespace."""
        data, sender = message.json.decode(), self._name
        if isinstance(target, ToRoom):
            channel = rooms_channel(target.namespace)
            envelope: msgspec.Struct = _ToRoom(data, target.namespace, target.id, sender, _users(exclude))
        elif isinstance(target, ToUsers):
            excluded = _users(exclude)
            users = [user for user in dict.fromkeys(target.users) if user not in excluded]
            if not users:
                return
            channel = PRIVATE
            envelope = _ToOne(data, users[0], sender) if target.one else _ToMany(data, users, sender)
        else:
            channel, envelope = BROADCAST, _ToAll(data, sender)
        self._port.publish(channel, self.codec.encode(envelope), plain=True)

    def publish_event(self, event: OriginalEvent) -> None:
        """Publish an event, a request or an answer, which all servers receive."""
        self._port.publish(BRIDGE, self.codec.encode(FromBridge(event)), plain=True)


def _users(exclude: Excluded | None) -> list[str]:
    """List the users to exclude; original servers can't exclude single connections."""
    return [] if exclude is None else list(exclude.users)
