"""The names of the channels that the original's servers (``websocket-cross-server-adapter``) use."""

from __future__ import annotations

from crosswire.errors import UsageError

BROADCAST = b"ws:broadcast"
"""Messages for all clients."""
PRIVATE = b"ws:private_socket"
"""Messages for users."""
BRIDGE = b"csbp:server_bridge"
"""Events between servers, and the answers to them."""
_ROOMS = b"ws:"
_RESERVED = frozenset({"broadcast", "private_socket"})


def rooms_channel(namespace: str) -> bytes:
    """Return the channel of all rooms of a namespace.

    Raises:
        UsageError: the original uses that name for something else, or shares its channel with another namespace.
    """
    if namespace in _RESERVED:
        raise UsageError(f"a room's namespace can't be {namespace!r} among original servers: choose another")
    if namespace.startswith("ws:"):  # the original adds no second "ws:": the rest would be a namespace on this channel
        raise UsageError(
            f"a room's namespace can't be {namespace!r} among original servers: names that begin with ws: are channels "
            "to them, so rename it on all servers"
        )
    return _ROOMS + namespace.encode()


def is_channel_of_rooms(channel: bytes, namespace: str) -> bool:
    """Return whether a message for rooms of a namespace belongs on a channel."""
    return channel == _ROOMS + namespace.encode()


def custom_channel(name: str) -> bytes:
    """Return the channel of an application. It has the name that the application gives it.

    Raises:
        UsageError: the name begins like those of the original's own channels.
    """
    if name.startswith(("ws:", "csbp:")):
        raise UsageError(f"the channel {name!r} is the original's own: names that start with ws: or csbp: are")
    return name.encode()
