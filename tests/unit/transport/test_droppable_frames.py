from __future__ import annotations

from collections import deque
from collections.abc import MutableSequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.event_policies import DropPolicyName, MessagePolicy
from crosswire.core.skipped_messages import SkippedMessages
from crosswire.transport.droppable_frames import DroppableFrames

HOLE = b""
LIMIT = 5000


@dataclass(frozen=True)
class Sent:
    """A message of the model; one that must be sent has no policy."""

    number: int
    policy: DropPolicyName | None
    key: str


messages = st.builds(
    Sent,
    st.just(0),
    st.sampled_from([None, "latest", "drop-oldest", "drop-newest"]),
    st.sampled_from(["a", "b", "c"]),
)
steps = st.lists(messages | st.integers(1, 20), max_size=300)


class Model:
    """What should wait, as a plain list of messages."""

    def __init__(self) -> None:
        self.waiting: list[Sent] = []
        self.dropped = 0

    def offer(self, sent: Sent, room: int) -> None:
        """Take a message where ``room`` messages may wait."""
        if sent.policy == "latest":
            older = [each for each in self.waiting if each.policy == "latest" and each.key == sent.key]
            for each in older:
                self._drop(each)
        if sent.policy in ("latest", "drop-oldest"):
            self._shrink(room, ("latest", "drop-oldest"))
        if len(self.waiting) >= room:
            self.dropped += 1
        else:
            self.waiting.append(sent)

    def push(self, sent: Sent, room: int) -> bool:
        """Take a message that must be sent; return False if there is no room."""
        self._shrink(room, ("latest", "drop-oldest"))
        self._shrink(room, ("drop-newest",))
        if len(self.waiting) >= room:
            return False
        self.waiting.append(sent)
        return True

    def _shrink(self, room: int, policies: tuple[DropPolicyName, ...]) -> None:
        while len(self.waiting) >= room:
            oldest = next((each for each in self.waiting if each.policy in policies), None)
            if oldest is None:
                return
            self._drop(oldest)

    def _drop(self, sent: Sent) -> None:
        self.waiting.remove(sent)
        self.dropped += 1


@pytest.mark.parametrize("container", [list, deque])
@given(steps=steps, room=st.integers(1, 12))
def test_what_waits_is_a_part_of_what_was_sent_in_order(
    container: type[MutableSequence[bytes]], steps: list[Sent | int], room: int
) -> None:
    frames: MutableSequence[bytes] = container()
    droppable, skipped, model = DroppableFrames(frames, HOLE), SkippedMessages(), Model()
    policies = {
        (policy, key): skipped.droppable(MessagePolicy(policy, "e", key))
        for policy in ("latest", "drop-oldest", "drop-newest")
        for key in ("a", "b", "c")
    }
    free = room  # each message counts as 1
    for number, step in enumerate(steps):
        if isinstance(step, int):
            for _ in range(min(step, len(frames))):
                free += frames[0] is not HOLE
                del frames[0]
                droppable.left(1)
            model.waiting = [each for each in model.waiting if str(each.number).encode() in frames]
        else:
            sent = Sent(number, step.policy, step.key)
            frame = str(number).encode()
            if sent.policy is None:
                if free < 1:
                    free += droppable.make_room(1, for_all=True)
                taken = free >= 1
                if taken:
                    frames.append(frame)
                    free -= 1
                assert model.push(sent, room) == taken
            else:
                policy = policies[sent.policy, sent.key]
                taken, free = droppable.make_way(policy, 1, free, room)
                if taken:
                    droppable.append(frame, policy, 1)
                    free -= 1
                else:
                    policy.skipped()
                model.offer(sent, room)
        waiting = [int(frame) for frame in frames if frame is not HOLE]
        assert waiting == [each.number for each in model.waiting]
        assert free == room - len(waiting)
    assert sum(skipped.by_event.values()) == model.dropped


def test_messages_that_replace_each_other_for_hours_take_no_more_room() -> None:
    frames: list[bytes] = []
    droppable, skipped = DroppableFrames(frames, HOLE), SkippedMessages()
    keys = [skipped.droppable(MessagePolicy("latest", "price", str(key))) for key in range(10)]
    free, most = LIMIT, 0
    for number in range(20_000):
        policy = keys[number % 10]
        _, free = droppable.make_way(policy, 100, free, LIMIT)
        droppable.append(b"%d" % number, policy, 100)
        free -= 100
        most = max(most, len(frames), len(droppable._entries))
    assert most < 200
    assert [frame for frame in frames if frame is not HOLE] == [b"%d" % number for number in range(19_990, 20_000)]
    assert skipped.by_event == {"price": 19_990}
