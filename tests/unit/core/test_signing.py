from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.envelopes import HEADER_SIZE, unpack_header
from crosswire.core.signing import PLAIN_PART, SIGNED_HEADER_SIZE, Signer, require_secrets, sender_of
from crosswire.errors import ConfigError, InvalidMessage

ORIGIN = b"origin.."
SIGNER = Signer([b"a secret of 16 bytes"])


@given(st.binary(max_size=20), st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=50), st.data())
def test_what_is_signed_is_read_and_any_other_byte_is_refused(
    channel: bytes, number: int, sent: int, body: bytes, data: st.DataObject
) -> None:
    previous = data.draw(st.integers(0, number - 1))
    message = SIGNER.header(channel, ORIGIN, number, previous, sent, body) + body
    assert SIGNER.read(channel, message) == (ORIGIN, number, previous, sent)
    assert message[SIGNED_HEADER_SIZE:] == body
    assert message[PLAIN_PART + HEADER_SIZE :] == body
    place = data.draw(st.integers(0, len(message) - 1))
    changed = bytes([message[place] ^ data.draw(st.integers(1, 255))])
    with pytest.raises(InvalidMessage):
        SIGNER.read(channel, message[:place] + changed + message[place + 1 :])
    with pytest.raises(InvalidMessage):
        SIGNER.read(channel + b"x", message)
    with pytest.raises(InvalidMessage):
        SIGNER.read(channel, message[:place])


def test_a_byte_can_not_move_from_the_channel_to_the_body() -> None:
    message = SIGNER.header(b"ab", ORIGIN, 1, 0, 0, b"cd") + b"cd"
    with pytest.raises(InvalidMessage):
        SIGNER.read(b"abc", message[:SIGNED_HEADER_SIZE] + b"d")


def test_a_message_is_accepted_that_any_of_the_secrets_has_signed() -> None:
    old, new = b"old secret of 16 bytes", b"new secret of 16 bytes"
    both = Signer([new, old])
    by_old, by_new = (each.header(b"c", ORIGIN, 1, 0, 0, b"") for each in (Signer([old]), both))
    assert both.read(b"c", by_old) == both.read(b"c", by_new)
    with pytest.raises(InvalidMessage, match="another secret"):
        Signer([old]).read(b"c", by_new)


def test_a_message_that_is_before_itself_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="follow"):
        SIGNER.read(b"c", SIGNER.header(b"c", ORIGIN, 1, 1, 0, b""))


def test_a_signed_message_is_none_without_a_secret() -> None:
    with pytest.raises(InvalidMessage, match="version"):
        unpack_header(SIGNER.header(b"c", ORIGIN, 1, 0, 0, b""))


@given(st.binary(max_size=200))
def test_no_sender_is_found_in_other_bytes(message: bytes) -> None:
    assert sender_of(message) is None


def test_secrets_are_one_or_several() -> None:
    secret = secrets.token_hex(16)
    assert require_secrets("secret", None) == ()
    assert require_secrets("secret", secret) == (secret.encode(),)
    assert require_secrets("secret", [secret, secret.encode()]) == (secret.encode(),) * 2


@pytest.mark.parametrize("value", ["", "short", [], ["x" * 16, "short"], 5, [None], ["x" * 16] * 11, "\ud800" * 16])
def test_secrets_that_can_not_be_used_are_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="secret"):
        require_secrets("secret", value)
