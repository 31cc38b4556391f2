from __future__ import annotations

import pytest

from crosswire.cluster.history.bodies import Bodies
from crosswire.cluster.history.room_queue import Outgoing
from crosswire.core import envelopes
from crosswire.core.envelopes import Claim, ClientMessage
from crosswire.core.formats import EncodedMessage
from crosswire.core.log_records import LogRecord
from crosswire.core.targets import Excluded
from crosswire.errors import InvalidMessage, InvalidPayload

ORIGIN, CHANNEL = b"sender..", b"cw:r:4:chat1"
MESSAGE = EncodedMessage(b'{"event":"said","payload":1}')
KEYS = [b"a secret of 16 bytes", b"another secret of more"]


def record(body: bytes, number: int = 7) -> LogRecord:
    return LogRecord("epoch000", 3, 1000, ORIGIN, number, body)


@pytest.mark.parametrize("keys", [[], KEYS])
def test_what_is_made_is_read_with_its_position(keys: list[bytes]) -> None:
    bodies = Bodies(ORIGIN, keys)
    excluded = Excluded(("1",), ("socket",), ("2",))
    kept = bodies.read(CHANNEL, record(bodies.make(CHANNEL, 7, MESSAGE, excluded)))
    assert kept.message.json == b'{"event":"said","payload":1,"at":"epoch000.3"}'
    assert (kept.offset, kept.time, kept.origin, kept.number) == (3, 1000, ORIGIN, 7)
    assert kept.excluded == excluded


def test_a_copy_says_its_place_and_whether_it_waits_for_the_log() -> None:
    message = envelopes.decode(Bodies(ORIGIN, KEYS).copy(7, MESSAGE, None, waits=True))
    assert isinstance(message, ClientMessage)
    assert message.place is not None
    assert (message.place.origin, message.place.number, message.place.waits) == (ORIGIN, 7, True)


def test_each_of_several_secrets_is_accepted() -> None:
    old, new = Bodies(ORIGIN, KEYS[1:]), Bodies(ORIGIN, KEYS)
    assert new.read(CHANNEL, record(old.make(CHANNEL, 7, MESSAGE, None))).offset == 3


@pytest.mark.parametrize(
    ("channel", "number", "body_change"),
    [(b"cw:r:4:chat2", 7, b""), (CHANNEL, 8, b""), (CHANNEL, 7, b"x")],
)
def test_a_signed_message_is_for_its_room_and_its_place_alone(channel: bytes, number: int, body_change: bytes) -> None:
    bodies = Bodies(ORIGIN, KEYS)
    body = bodies.make(CHANNEL, 7, MESSAGE, None) + body_change
    with pytest.raises(InvalidMessage):
        bodies.read(channel, record(body, number))


@pytest.mark.parametrize("body", [b"", b"\xc1", b"x" * 20, envelopes.encode(ClientMessage(b"{}"))])
def test_what_is_not_signed_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidMessage):
        Bodies(ORIGIN, KEYS).read(CHANNEL, record(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        envelopes.encode(Claim("0" * 16, 1)),
        envelopes.encode(ClientMessage(b"no json")),
        envelopes.encode(ClientMessage(b'{"event":"$room"}')),
        envelopes.encode(ClientMessage(b'{"event":"x","callId":"1"}')),
        envelopes.encode(ClientMessage(b'{"event":"x"}', (), b"\x80")),
    ],
)
def test_what_is_no_message_for_clients_is_refused(body: bytes) -> None:
    with pytest.raises((InvalidMessage, InvalidPayload)):
        Bodies(ORIGIN, []).read(CHANNEL, record(body))


def test_an_older_node_reads_a_message_with_a_place() -> None:
    fields = envelopes.encode(ClientMessage(b'{"event":"x"}'))
    assert fields.endswith(b"\xc0")
    older = fields[:1].replace(b"\x97", b"\x96") + fields[1:-1]
    assert envelopes.decode(older) == ClientMessage(b'{"event":"x"}')


@pytest.mark.parametrize("keys", [[], KEYS])
def test_a_message_of_this_node_that_comes_back_as_it_was_sent_is_not_decoded(keys: list[bytes]) -> None:
    bodies, excluded = Bodies(ORIGIN, keys), Excluded(("1",))
    outgoing = Outgoing(7, MESSAGE, excluded, bodies.make(CHANNEL, 7, MESSAGE, excluded), 0.0, 100)
    bodies.own.add(CHANNEL, outgoing)
    kept = bodies.read(CHANNEL, record(outgoing.body))
    assert kept.excluded is excluded
    assert kept.message.json == b'{"event":"said","payload":1,"at":"epoch000.3"}'
    assert bodies.read(CHANNEL, record(outgoing.body)) == kept


def test_what_others_put_in_the_name_of_this_node_is_checked() -> None:
    bodies = Bodies(ORIGIN, KEYS)
    bodies.own.add(CHANNEL, Outgoing(7, MESSAGE, None, bodies.make(CHANNEL, 7, MESSAGE, None), 0.0, 100))
    with pytest.raises(InvalidMessage):
        bodies.read(CHANNEL, record(b"another body"))
    with pytest.raises(InvalidMessage):
        bodies.read(b"cw:r:4:chat2", record(bodies.make(CHANNEL, 7, MESSAGE, None)))
