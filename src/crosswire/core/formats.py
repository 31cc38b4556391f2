"""Formats of messages on a connection: JSON or MessagePack, in frames or not. A message is encoded once for each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Protocol

import msgspec

from crosswire.core.codecs import JSON, MSGPACK, UNENCODABLE, Codec, no_json_form
from crosswire.core.deflate import MIN_SIZE, compress
from crosswire.core.event_policies import MessagePolicy
from crosswire.core.frames import SHORT_TEXT, Opcode, encode_frame
from crosswire.core.names import RESERVED
from crosswire.core.skipped_messages import Droppable
from crosswire.errors import InvalidPayload


class EncodedMessage(msgspec.Struct, frozen=True, gc=False):
    """An encoded message, as it travels to the servers whose clients get it.

    Attributes:
        json: JSON text.
        msgpack: the message as MessagePack; None if no client was known to want MessagePack.
        policy: what happens to it for connections that are behind; None to close them in the end.
    """

    json: bytes
    msgpack: bytes | None = None
    policy: MessagePolicy | None = None


class Forms(Protocol):
    """The forms of a message, as an :class:`EncodedMessage` has them, or a message as it comes from another node."""

    @property
    def json(self) -> bytes:
        """Return the message as JSON text."""
        ...

    @property
    def msgpack(self) -> bytes | None:
        """Return the message as MessagePack, if it has this form."""
        ...


def encode(message: msgspec.Struct, *, msgpack: bool, policy: MessagePolicy | None = None) -> EncodedMessage:
    """Encode a message as JSON and, if anybody wants it, as MessagePack.

    Raises:
        InvalidPayload: its data has no such form.
    """
    try:
        text = _encode_json(message)
    except UNENCODABLE as error:
        raise no_json_form(error) from error
    return EncodedMessage(text, MSGPACK.from_json(text) if msgpack else None, policy)


_encode_json = JSON.encode_data


class _AnyEvent(msgspec.Struct, gc=False):
    """The part of an original server's message that is checked."""

    event: str


class _Event(msgspec.Struct, gc=False, rename={"callback_id": "callbackId", "call_id": "callId"}):
    """The part of an event that is checked; the decoder checks the syntax of all the rest.

    What else makes a message a call or an answer is not there: a client would take it for its server's.
    """

    event: str
    callback_id: None = None
    call_id: None = None
    error: None = None


_check_json = msgspec.json.Decoder(_Event).decode
_check_msgpack = msgspec.msgpack.Decoder(_Event).decode
_check_any_json = msgspec.json.Decoder(_AnyEvent).decode
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
"""An escaped half of a character, which JavaScript encodes even without the other half."""


def require_events(messages: Iterable[Forms]) -> None:
    """Check messages for clients that came from another node.

    Raises:
        InvalidPayload: one is no event of an application, or no JSON, no MessagePack, or no UTF-8; a client that got it
            would drop its connection.
    """
    try:
        for message in messages:
            text = message.json
            if not text.isascii():  # many times faster than decoding
                text.decode()
            if _check_json(text).event[:1] in _NO_EVENT:
                raise InvalidPayload("a message for clients has no event of an application")
            packed = message.msgpack
            if packed is not None and _check_msgpack(packed).event[:1] in _NO_EVENT:
                raise InvalidPayload("a message for clients has no event of an application")
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise InvalidPayload(f"a message for clients is no event: {error}") from error


def require_event_texts(texts: Iterable[bytes]) -> None:
    """Check messages for clients that came from another node, of which there is nothing but JSON.

    Raises:
        InvalidPayload: as :func:`require_events`.
    """
    check = _check_json
    try:
        for text in texts:
            if not text.isascii():
                text.decode()
            event = check(text).event
            if not event or event[0] == RESERVED:
                raise InvalidPayload("a message for clients has no event of an application")
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise InvalidPayload(f"a message for clients is no event: {error}") from error


def require_event_text(text: bytes) -> EncodedMessage:
    """Return a message for clients that came from an original server, checked; its event may have any name.

    Raises:
        InvalidPayload: it is no event in JSON.
    """
    try:
        _check_any_json(_HALF_CHARACTER.sub(rb"\\u0000", text) if b"\\ud" in text or b"\\uD" in text else text)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise InvalidPayload(f"a message for clients is no event: {error}") from error
    return EncodedMessage(text)


_NO_EVENT = ("", RESERVED)
"""The first characters of what is no event of an application: nothing, and the beginning of the protocol's own."""


Encoded = bytes | tuple[str | bytes, ...]
"""Messages as a connection takes them: the bytes of WebSocket frames, or the messages themselves, text or binary."""


class Encode(Protocol):
    """Function that encodes messages for one connection."""

    def __call__(self, message: msgspec.Struct, /) -> Encoded:
        """Encode a message; raises ``InvalidPayload`` if its data has no such form."""
        ...


class AnyOutbox(Protocol):
    """Queue of what is sent on one connection, as a fan-out uses it."""

    @property
    def fd(self) -> int:
        """File descriptor of the socket while a fan-out may write frames to it, past the empty queue; else negative."""
        ...

    def push(self, encoded: Any, /) -> None:
        """Queue what a format has encoded for a connection of that format; what one loop turn queues leaves together.

        A connection whose peer does not read is dropped once more than its limit waits.
        """


class Offer(Protocol):
    """Function that queues what a format has encoded for a connection that need not get it if it is behind."""

    def __call__(self, encoded: Any, droppable: Droppable, /) -> None:
        """Queue an encoded message, or skip it, as its policy says."""


class Format(Protocol):
    """Format of the messages on a connection.

    Attributes:
        codec: JSON or MessagePack.
    """

    codec: Codec

    def __hash__(self) -> int: ...

    def encode(self, message: msgspec.Struct) -> Encoded:
        """Encode a message.

        Raises:
            InvalidPayload: its data has no such form.
        """
        ...

    def wrap(self, message: Forms) -> Encoded:
        """Return a message that is encoded as JSON, and perhaps as MessagePack, in this format.

        Raises:
            InvalidPayload: it must be converted to MessagePack, and its JSON is invalid.
        """
        ...

    def wrap_texts(self, texts: Sequence[bytes]) -> Encoded:
        """Do the same as :meth:`wrap` with several messages of which there is only JSON, to push them together."""
        ...

    def raw(self, opcode: Opcode, payload: bytes) -> Encoded:
        """Return a payload that the application has encoded, in this format.

        Args:
            opcode: TEXT or BINARY.
            payload: UTF-8 for TEXT.
        """
        ...

    def join(self, encoded: Iterable[Any], /) -> Encoded:
        """Join messages that were encoded one by one, to push them together."""
        ...


class FrameFormat:
    """Format of a connection that carries WebSocket frames.

    Args:
        codec: JSON or MessagePack.
        window_bits: of permessage-deflate, as negotiated; 0 without.
    """

    __slots__ = ("_opcode", "_window_bits", "codec")

    join = staticmethod(b"".join)

    def __init__(self, codec: Codec, *, window_bits: int) -> None:
        self.codec = codec
        self._window_bits = window_bits
        self._opcode = Opcode.BINARY if codec.binary else Opcode.TEXT

    def encode(self, message: msgspec.Struct) -> bytes:
        payload = self.codec.encode(message)
        return self.raw(self._opcode, payload) if self._window_bits else encode_frame(self._opcode, payload)

    def wrap(self, message: Forms) -> bytes:
        if not self.codec.binary:
            return self.raw(self._opcode, message.json)
        # The first client that wants MessagePack might just have connected, and the sender did not know.
        return self.raw(self._opcode, message.msgpack or MSGPACK.from_json(message.json))

    def wrap_texts(self, texts: Sequence[bytes]) -> bytes:
        return b"".join([self.wrap(EncodedMessage(text)) for text in texts])

    def raw(self, opcode: Opcode, payload: bytes) -> bytes:
        if self._window_bits and len(payload) >= MIN_SIZE:
            return encode_frame(opcode, compress(payload, self._window_bits), rsv1=True)
        return encode_frame(opcode, payload)


class TextFormat(FrameFormat):
    """Format of most connections: frames with JSON that is not compressed. It does the same with fewer calls."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(JSON, window_bits=0)

    def encode(self, message: msgspec.Struct) -> bytes:
        try:
            payload = _encode_json(message)
        except UNENCODABLE as error:
            raise no_json_form(error) from error
        size = len(payload)
        return SHORT_TEXT[size] + payload if size < _SHORT else encode_frame(Opcode.TEXT, payload)

    def wrap(self, message: Forms) -> bytes:
        payload = message.json
        size = len(payload)
        return SHORT_TEXT[size] + payload if size < _SHORT else encode_frame(Opcode.TEXT, payload)

    def wrap_texts(self, texts: Sequence[bytes]) -> bytes:
        try:
            return b"".join([SHORT_TEXT[len(text)] + text for text in texts])
        except IndexError:  # one is longer: to find that out by itself would take as long as the rest
            return b"".join([encode_frame(Opcode.TEXT, text) for text in texts])


_SHORT = len(SHORT_TEXT)


class MessageFormat:
    """Format of a connection that takes whole messages. A program below it makes the frames, such as an ASGI server.

    Args:
        codec: JSON or MessagePack.
    """

    __slots__ = ("_opcode", "codec")

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._opcode = Opcode.BINARY if codec.binary else Opcode.TEXT

    def encode(self, message: msgspec.Struct) -> tuple[str | bytes, ...]:
        return self.raw(self._opcode, self.codec.encode(message))

    def wrap(self, message: Forms) -> tuple[str | bytes, ...]:
        if not self.codec.binary:
            return self.raw(self._opcode, message.json)
        return self.raw(self._opcode, message.msgpack or MSGPACK.from_json(message.json))

    def wrap_texts(self, texts: Sequence[bytes]) -> tuple[str | bytes, ...]:
        return self.join([self.wrap(EncodedMessage(text)) for text in texts])

    def raw(self, opcode: Opcode, payload: bytes) -> tuple[str | bytes, ...]:
        return (payload.decode() if opcode is Opcode.TEXT else payload,)

    def join(self, encoded: Iterable[tuple[str | bytes, ...]], /) -> tuple[str | bytes, ...]:
        return tuple(chain.from_iterable(encoded))


JSON_TEXT = TextFormat()
_FRAME_FORMATS: dict[tuple[bool, int], FrameFormat] = {(False, 0): JSON_TEXT}
_MESSAGE_FORMATS = {False: MessageFormat(JSON), True: MessageFormat(MSGPACK)}


def frame_format(*, msgpack: bool, window_bits: int) -> FrameFormat:
    """Return the (shared) format of a connection that carries frames, for what was negotiated."""
    known = _FRAME_FORMATS.get((msgpack, window_bits))
    if known is None:  # there are 8 at most: 3 windows or none, twice
        known = FrameFormat(MSGPACK if msgpack else JSON, window_bits=window_bits)
        _FRAME_FORMATS[msgpack, window_bits] = known
    return known


def message_format(*, msgpack: bool) -> MessageFormat:
    """Return the (shared) format of a connection that carries messages, for what was negotiated."""
    return _MESSAGE_FORMATS[msgpack]
