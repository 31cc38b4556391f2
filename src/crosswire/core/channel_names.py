"""The names of the bus' channels. No two things have the same one, whatever they are called.

After the prefix comes a letter for the kind of thing, and a colon. What follows is one name, whole; of a room it is
two, the first with its length in front: so no user, namespace or room id can be chosen to name another's channel.
"""

from __future__ import annotations


class Channels:
    """Makes the names.

    Args:
        prefix: what all of them begin with; clusters that share a Redis have different ones.
    """

    __slots__ = ("_custom", "_incarnation", "_node", "_room", "_user", "everyone", "nodes")

    def __init__(self, prefix: str) -> None:
        start = prefix.encode()
        self.everyone = start + b"e"
        """Messages for all clients; every server listens."""
        self.nodes = start + b"a"
        """Announcements and events of nodes; every node listens."""
        self._node = start + b"n:"
        self._incarnation = start + b"i:"
        self._user = start + b"u:"
        self._room = start + b"r:"
        self._custom = start + b"c:"

    def node(self, name: str) -> bytes:
        """What is for the node of that name."""
        return self._node + name.encode()

    def incarnation(self, id: str) -> bytes:
        """Answers, for one run of a node: its successor of the same name does not get them."""
        return self._incarnation + id.encode()

    def user(self, user: str) -> bytes:
        """Messages for a user."""
        return self._user + user.encode()

    def room(self, namespace: str, id: str) -> bytes:
        """Messages for a room."""
        space = namespace.encode()
        return b"%b%d:%b%b" % (self._room, len(space), space, id.encode())

    def custom(self, name: str) -> bytes:
        """An application's own channel."""
        return self._custom + name.encode()
