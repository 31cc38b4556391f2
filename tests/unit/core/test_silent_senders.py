from __future__ import annotations

from crosswire.core.sequencing import Sequencer
from crosswire.core.silent_senders import FORGET_AFTER, SilentSenders

SENDER = b"sender.."


class ManySenders:
    """Sequencers of several channels, whose senders are no members."""

    def __init__(self, channels: int = 1) -> None:
        self.silent = SilentSenders()
        self.sequencers = [Sequencer(self.silent) for _ in range(channels)]

    def take(self, sender: bytes, number: int, previous: int, now: float, channel: int = 0) -> bool:
        return self.sequencers[channel].accept(sender, number, previous, now)

    @property
    def remembered(self) -> int:
        return sum(len(sequencer._streams) for sequencer in self.sequencers)


def test_senders_that_are_no_members_are_forgotten_when_they_are_silent() -> None:
    many = ManySenders(channels=3)
    for number in range(10_000):
        assert many.take(b"%d" % number, 1, 0, number / 100, channel=number % 3)
        assert many.remembered <= 1.4 * FORGET_AFTER * 100 + 10
        assert len(many.silent) <= many.remembered + 1


def test_a_sender_that_is_not_silent_is_remembered() -> None:
    many = ManySenders()
    for number in range(1, 100):
        assert many.take(SENDER, number, number - 1, number)
        assert not many.take(SENDER, number, number - 1, number), "a duplicate"
        many.take(b"%d" % number, 1, 0, number)
    assert many.remembered < 20


def test_a_member_is_remembered_however_silent_it_is() -> None:
    many = ManySenders()
    many.silent.members.add(SENDER)
    many.take(SENDER, 5, 0, 0)
    many.take(b"joins later", 5, 0, 0)
    many.silent.members.add(b"joins later")
    for number in range(1000):
        many.take(b"%d" % number, 1, 0, number)
    for member in (SENDER, b"joins later"):
        assert not many.take(member, 5, 0, 1000), "a duplicate"


def test_a_sender_whose_messages_are_held_is_remembered() -> None:
    many = ManySenders()
    sequencer = many.sequencers[0]
    assert sequencer.accept(SENDER, 1, 0, 0)
    assert not sequencer.accept(SENDER, 3, 2, 0)
    sequencer.hold(SENDER, 3, 2, b"3", 0)
    for number in range(100):
        many.take(b"%d" % number, 1, 0, number)
    assert [body for _, bodies in sequencer.give_up(100, 2, 1) for body in bodies] == [b"3"]
