"""Signed messages between nodes: a header with a time and a code that only those can make who have the secret."""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

from crosswire.core.envelopes import HEADER_SIZE, Beat, count_messages, decode
from crosswire.core.log_records import RECORD_VERSION
from crosswire.core.utf8 import has_utf8
from crosswire.errors import ConfigError, InvalidMessage

SIGNED_VERSION = 2
"""The version of headers of signed messages."""
MIN_SECRET = 16
"""Bytes that a secret has at least."""
MAX_SECRETS = 10
"""Secrets that are accepted at the same time."""
CODE_SIZE = 16
"""Bytes of the code that authenticates a message."""

_MAX_BEAT = 4096
"""Bytes of a beat in which the name of its sender is looked for."""

_ENVELOPE = struct.Struct(f"<BQ{CODE_SIZE}s")
_PLACE = struct.Struct("<8sQQ")
_SIGNED = struct.Struct("<BQ8sQQI")  # what is signed in front of the channel and the body
_RECORDED = struct.Struct("<B8sQI")  # the same for a message that a log keeps
PLAIN_PART = _ENVELOPE.size + _PLACE.size - HEADER_SIZE
"""Offset at which a signed message goes on as one that is not signed, but for the version."""
SIGNED_HEADER_SIZE = _ENVELOPE.size + _PLACE.size
"""Bytes of the header of a signed message."""


class SignedHeader(NamedTuple):
    """The header of a signed message.

    Attributes:
        origin: the incarnation of the sender.
        number: of the message.
        previous: the number of the sender's message before it, on the same channel.
        sent: microseconds of the sender's clock.
    """

    origin: bytes
    number: int
    previous: int
    sent: int


class Signer:
    """Signs messages with one secret, and checks those that are signed with any of several.

    The code is keyed BLAKE2b (RFC 7693) of 16 bytes over the version, the time, the origin, both numbers, the channel
    and the body. For a message of usual size it costs a third of what HMAC-SHA-256 costs.

    Args:
        keys: the first one signs.
    """

    __slots__ = ("_checks", "_sign")

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._checks = [blake2b(key=_derived(key), digest_size=CODE_SIZE) for key in keys]
        self._sign = self._checks[0]

    def __repr__(self) -> str:
        return "<Signer>"  # without a secret

    def header(self, channel: bytes, origin: bytes, number: int, previous: int, sent: int, body: bytes) -> bytes:
        """Return the header of a message."""
        code = self._sign.copy()
        code.update(_SIGNED.pack(SIGNED_VERSION, sent, origin, number, previous, len(channel)) + channel)
        code.update(body)
        return _ENVELOPE.pack(SIGNED_VERSION, sent, code.digest()) + _PLACE.pack(origin, number, previous)

    def read(self, channel: bytes, message: bytes) -> SignedHeader:
        """Return the header of a message that came on a channel.

        Raises:
            InvalidMessage: it is not signed with one of the secrets, for this channel.
        """
        if len(message) < SIGNED_HEADER_SIZE or message[0] != SIGNED_VERSION:
            raise InvalidMessage("it is not signed")
        version, sent, code = _ENVELOPE.unpack_from(message)
        origin, number, previous = _PLACE.unpack_from(message, _ENVELOPE.size)
        signed = _SIGNED.pack(version, sent, origin, number, previous, len(channel)) + channel
        body = memoryview(message)[SIGNED_HEADER_SIZE:]
        for check in self._checks:
            expected = check.copy()
            expected.update(signed)
            expected.update(body)
            if compare_digest(expected.digest(), code):
                break
        else:
            raise InvalidMessage("it is signed with another secret, or not for this channel")
        if previous >= number:
            raise InvalidMessage(f"message {number} can't follow message {previous}")
        return SignedHeader(origin, number, previous, sent)


class RecordSigner:
    """Signs the messages that logs keep, and checks those that come from a log.

    A log gives a message its offset and its time, so these are not signed: who can write to the log can leave messages
    out, and put them into another order, but can make none and can't bring one into another room.

    Args:
        keys: the first one signs.
    """

    __slots__ = ("_checks",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._checks = [blake2b(key=_derived(key), digest_size=CODE_SIZE) for key in keys]

    def __repr__(self) -> str:
        return "<RecordSigner>"  # without a secret

    def sign(self, channel: bytes, origin: bytes, number: int, body: bytes) -> bytes:
        """Return a body with a code in front, for one channel and one place in the order of the sender's messages."""
        return _code(self._checks[0], channel, origin, number, body) + body

    def read(self, channel: bytes, origin: bytes, number: int, signed: bytes) -> bytes:
        """Return the body of a message that was kept for a channel.

        Raises:
            InvalidMessage: it is not signed with one of the secrets, for this channel and place.
        """
        code, body = signed[:CODE_SIZE], signed[CODE_SIZE:]
        if not any(compare_digest(_code(check, channel, origin, number, body), code) for check in self._checks):
            raise InvalidMessage("what a log keeps is not signed, or with another secret, or not for this room")
        return body


def _code(keyed: blake2b, channel: bytes, origin: bytes, number: int, body: bytes) -> bytes:
    code = keyed.copy()
    code.update(_RECORDED.pack(RECORD_VERSION, origin, number, len(channel)) + channel)
    code.update(body)
    return code.digest()


def sender_of(message: bytes) -> str | None:
    """Return the name that a message gives its sender, whatever it is worth, if it is the beat of a node."""
    for size in (HEADER_SIZE, SIGNED_HEADER_SIZE):
        if size < len(message) < size + _MAX_BEAT:
            try:
                envelope = decode(message[size:])
            except InvalidMessage:
                continue
            return envelope.name if isinstance(envelope, Beat) else None
    return None


def count_published(message: bytes) -> int:
    """Return how many messages of a node were published together as this one, which has a header."""
    return count_messages(message[SIGNED_HEADER_SIZE if message[:1] == _SIGNED_START else HEADER_SIZE :])


_SIGNED_START = bytes([SIGNED_VERSION])


def _derived(key: bytes) -> bytes:
    """Return a key of the size that BLAKE2b takes, for this use alone."""
    return blake2b(key, digest_size=64, person=b"crosswire bus").digest()


def require_secrets(option: str, value: object) -> tuple[bytes, ...]:
    """Return the secrets as bytes: none for None, or one, or several.

    Raises:
        ConfigError: one can't be used; the text does not show it.
    """
    if value is None:
        return ()
    several = [value] if isinstance(value, str | bytes) or not isinstance(value, Collection) else list(value)
    if not 1 <= len(several) <= MAX_SECRETS:
        raise ConfigError(f"{option}: give one secret, or a list of them, at most {MAX_SECRETS}: [new, old]")
    return tuple(_require_secret(option, each) for each in several)


def _require_secret(option: str, value: object) -> bytes:
    if not isinstance(value, str | bytes):
        raise ConfigError(f"{option}: give text or bytes, not {type(value).__name__}")
    if isinstance(value, str) and not has_utf8(value):
        raise ConfigError(f"{option}: a secret has no UTF-8 form")
    secret = value.encode() if isinstance(value, str) else value
    if len(secret) < MIN_SECRET:
        raise ConfigError(f"{option}: a secret has at least {MIN_SECRET} bytes; make one with `openssl rand -hex 32`")
    return secret
