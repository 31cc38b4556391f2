from __future__ import annotations

import pytest

from crosswire.cluster.memory import MemoryBus
from crosswire.cluster.signed_port import SignedPort
from crosswire.core.signing import Signer
from crosswire.runtime import environment
from tests.support.ignored_events import IgnoredPortEvents

CHANNEL = b"room"
MEMBER = b"member.."
SIGNER = Signer([b"a secret of 16 bytes or more"])


def frame(number: int, previous: int, sent: float, body: bytes) -> bytes:
    """Return a message that the member signed when its clock showed ``sent``."""
    return SIGNER.header(CHANNEL, MEMBER, number, previous, int(sent * 1_000_000), body) + body


@pytest.mark.parametrize("ahead", [-3600.0, 0.0, 3600.0])
async def test_what_a_member_sent_before_it_was_lost_is_not_handed_on_again_when_it_is_back(
    ahead: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 10_000.0
    monkeypatch.setattr(environment, "monotonic", lambda: now)
    monkeypatch.setattr(environment, "wall_time", lambda: now)
    port = SignedPort(MemoryBus(), IgnoredPortEvents(), "a", b"this one", SIGNER)
    bodies: list[bytes] = []
    take = port._receivers.open(CHANNEL, bodies.append, plain=False)
    beat = port._receivers.open(b"nodes", lambda body: None, plain=False)
    beat(SIGNER.header(b"nodes", MEMBER, 1, 0, int((now + ahead) * 1_000_000), b"beat") + b"beat")
    port.remember(MEMBER)
    now += 10
    first = frame(2, 0, now + ahead, b"first")
    take(first)
    now += 100
    port.forget(MEMBER)
    now += 10
    beat(SIGNER.header(b"nodes", MEMBER, 3, 1, int((now + ahead) * 1_000_000), b"beat") + b"beat")
    port.remember(MEMBER)
    take(first)
    assert bodies == [b"first"]
    now += 1
    take(frame(4, 2, now + ahead, b"second"))
    assert bodies == [b"first", b"second"]
