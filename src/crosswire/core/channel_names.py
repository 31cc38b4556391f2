"""The names of the channels of a bus.

A name is the prefix, a letter for the kind of channel, a colon, and the name of the node, user or room. For a room the
namespace comes first, with its length in front. So two channels never have the same name, whatever names a user, a
namespace or a room has.
"""

from __future__ import annotations


class Channels:
    """Makes and reads the names of channels.

    Args:
        prefix: the beginning of all names; clusters that share a bus have different ones.

    Attributes:
        everyone: for messages to all clients; every server listens on it.
        nodes: for announcements and events of nodes; every node listens on it.
    """

    __slots__ = ("_custom", "_incarnation", "_node", "_probes", "_room", "_user", "everyone", "nodes")

    def __init__(self, prefix: str) -> None:
        start = prefix.encode()
        self.everyone = start + b"e"
        self.nodes = start + b"a"
        self._node = start + b"n:"
        self._incarnation = start + b"i:"
        self._user = start + b"u:"
        self._room = start + b"r:"
        self._custom = start + b"c:"
        self._probes = start + b"p:"

    def node(self, name: str) -> bytes:
        """Return the channel for messages to the node with this name."""
        return self._node + name.encode()

    def incarnation(self, id: str) -> bytes:
        """Return the channel for answers to one run of a node: a successor of the same name does not get them."""
        return self._incarnation + id.encode()

    def user(self, user: str) -> bytes:
        """Return the channel for messages to a user."""
        return self._user + user.encode()

    def room(self, namespace: str, id: str) -> bytes:
        """Return the channel for messages to a room."""
        space = namespace.encode()
        return b"%b%d:%b%b" % (self._room, len(space), space, id.encode())

    def custom(self, name: str) -> bytes:
        """Return the channel that an application knows under this name."""
        return self._custom + name.encode()

    def probes(self, origin: str) -> bytes:
        """Return the beginning of the channels on which a node sends itself probes, which measure the bus."""
        return self._probes + origin.encode()

    def user_of(self, channel: str) -> str | None:
        """Return the user whose channel this is; None if it is no user's."""
        start = self._user.decode()
        return channel.removeprefix(start) if channel.startswith(start) else None

    def room_of(self, channel: str) -> tuple[str, str] | None:
        """Return the namespace and the id of the room whose channel this is; None if it is no room's."""
        start = self._room.decode()
        if not channel.startswith(start):
            return None
        length, _, names = channel.removeprefix(start).partition(":")
        both = names.encode()
        return both[: int(length)].decode(), both[int(length) :].decode()


def text_of(channel: bytes) -> str:
    """Return the name of a channel as text, for people and logs."""
    return channel.decode(errors="backslashreplace")
