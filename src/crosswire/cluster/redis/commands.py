"""Encoding of commands in RESP."""

from __future__ import annotations

_PUBLISH = b"*3\r\n$7\r\nPUBLISH\r\n$"
PUBLISH = _PUBLISH + b"%d\r\n%b\r\n$%d\r\n%b%b\r\n"
"""Format of a PUBLISH: the size of the channel, the channel, the size of the message, and the message in two parts."""


def command(*parts: bytes) -> bytes:
    """Encode a command and its arguments."""
    return b"*%d\r\n%b" % (len(parts), b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]))


def publish(channel: bytes, header: bytes, body: bytes) -> bytes:
    """Encode a PUBLISH; the message is given in two parts, so that its body is copied only once."""
    return PUBLISH % (len(channel), channel, len(header) + len(body), header, body)


def channel_of(command: bytes) -> bytes:
    """Return the channel of an encoded PUBLISH.

    So the channel of a command need not be kept: it is needed only if the command is sent again.
    """
    end = command.index(b"\r\n", len(_PUBLISH))
    start = end + 2
    return command[start : start + int(command[len(_PUBLISH) : end])]


def message_of(command: bytes) -> bytes:
    """Return the message of an encoded PUBLISH."""
    channel = channel_of(command)
    start = command.index(b"\r\n", len(_PUBLISH)) + 2 + len(channel) + 2
    return command[command.index(b"\r\n", start) + 2 : -2]
