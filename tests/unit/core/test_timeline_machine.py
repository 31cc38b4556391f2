"""A room with three nodes and three clients in which anything may happen: what a client is told is true."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from crosswire.cluster.log.interface import Append
from crosswire.cluster.log.memory_rooms import Appended, MemoryRooms
from crosswire.core.kept_messages import Kept
from crosswire.core.timeline import Change, Timeline
from tests.support.history_model import HistoryModel, ModelNode
from tests.support.model_client import Lie, RoomFrame

NODES = CLIENTS = 3
EXAMPLES = int(os.environ.get("CROSSWIRE_MACHINE_EXAMPLES", "0"))
"""Runs of the machine that are drawn anew, as ``make faults`` asks for; 0 for some that are always the same."""
USUAL_EXAMPLES = 100
MAX_SEARCH = 2_000
"""Runs in which the machine must find that something is missing; it needs a fraction of them."""
RUN = settings(stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FATES = st.sampled_from(["kept", "kept", "unanswered", "unsent"])


class RoomMachine(RuleBasedStateMachine):
    """The machine of hypothesis over the model; a subclass takes away one of the things that make it hold."""

    def __init__(self) -> None:
        super().__init__()
        self.model = self.new_model()

    def new_model(self) -> HistoryModel:
        return HistoryModel(NODES, CLIENTS)

    @rule(node=st.integers(0, NODES - 1), fates=st.lists(FATES, min_size=1, max_size=4))
    def say(self, node: int, fates: Sequence[str]) -> None:
        for fate in fates:
            self.model.say(self.model.nodes[node], fate)

    @rule(node=st.integers(0, NODES - 1), fate=FATES)
    def send_again(self, node: int, fate: str) -> None:
        self.model.append(self.model.nodes[node], fate)

    @rule(node=st.integers(0, NODES - 1), has_path=st.booleans())
    def fall_back(self, node: int, has_path: bool) -> None:
        self.model.say(self.model.nodes[node], "unsent")
        self.model.fall_back(self.model.nodes[node], has_path=has_path)

    @rule(
        node=st.integers(0, NODES - 1), order=st.lists(st.integers(0, 9), min_size=1, max_size=8), again=st.booleans()
    )
    def receive_records(self, node: int, order: Sequence[int], again: bool) -> None:
        """Take records in any order, one of them twice."""
        records = self.model.nodes[node].records
        for index in order:
            if records:
                self.model.take_record(self.model.nodes[node], index % len(records), again=again)
                again = False

    @rule(node=st.integers(0, NODES - 1))
    def receive_in_order(self, node: int) -> None:
        while self.model.nodes[node].records:
            self.model.take_record(self.model.nodes[node], 0)

    @rule(node=st.integers(0, NODES - 1), index=st.integers(0, 9))
    def lose_record(self, node: int, index: int) -> None:
        records = self.model.nodes[node].records
        if records:
            del records[index % len(records)]

    @rule(node=st.integers(0, NODES - 1))
    def cut_or_mend(self, node: int) -> None:
        self.model.nodes[node].is_cut = not self.model.nodes[node].is_cut

    @rule(node=st.integers(0, NODES - 1), sender=st.integers(0, 9), number=st.integers(1, 9))
    def receive_copies(self, node: int, sender: int, number: int) -> None:
        for _ in range(number):
            if senders := [*self.model.nodes[node].copies]:
                self.model.take_copy(self.model.nodes[node], senders[sender % len(senders)])

    @rule(node=st.integers(0, NODES - 1))
    def start_read(self, node: int) -> None:
        self.model.start_read(self.model.nodes[node])

    @rule(node=st.integers(0, NODES - 1))
    def finish_read(self, node: int) -> None:
        self.model.start_read(self.model.nodes[node])
        self.model.finish_read(self.model.nodes[node])
        self.model.admit(self.model.nodes[node])

    @rule(node=st.integers(0, NODES - 1))
    def lose_answer(self, node: int) -> None:
        self.model.nodes[node].answer = None

    @rule(node=st.integers(0, NODES - 1))
    def compare(self, node: int) -> None:
        self.model.compare(self.model.nodes[node])

    @rule(client=st.integers(0, CLIENTS - 1), node=st.integers(0, NODES - 1), rewind=st.integers(0, 3))
    def join(self, client: int, node: int, rewind: int) -> None:
        if not self.model.is_connected(self.model.clients[client]):
            self.model.join(self.model.clients[client], self.model.nodes[node])
            self.model.admit(self.model.nodes[node], rewind)

    @rule(client=st.integers(0, CLIENTS - 1), node=st.integers(0, NODES - 1), received=st.integers(0, 9))
    def roam(self, client: int, node: int, received: int) -> None:
        """Leave a node after some frames, and come to another one that has read the log."""
        self.model.drop(self.model.clients[client], received, forget=True)
        self.model.join(self.model.clients[client], self.model.nodes[node])
        self.finish_read(node)

    @rule(client=st.integers(0, CLIENTS - 1), received=st.integers(0, 9), forget=st.booleans())
    def leave(self, client: int, received: int, forget: bool) -> None:
        self.model.drop(self.model.clients[client], received, forget=forget)

    @rule(client=st.integers(0, CLIENTS - 1), number=st.integers(1, 9))
    def receive_frames(self, client: int, number: int) -> None:
        self.model.clients[client].receive(number)

    @rule(seconds=st.sampled_from([0.5, 2, 5, 40, 61, 200]))
    def age(self, seconds: float) -> None:
        self.model.now += int(seconds * 1000)

    @rule()
    def save(self) -> None:
        self.model.save()

    @rule()
    def roll_back(self) -> None:
        self.model.roll_back()

    @rule()
    def wipe(self) -> None:
        self.model.wipe()

    @rule()
    def hang_or_come_back(self) -> None:
        self.model.is_down = not self.model.is_down

    @rule(node=st.integers(0, NODES - 1))
    def kill(self, node: int) -> None:
        self.model.kill(node)

    def teardown(self) -> None:
        self.model.finish()


class TimelineWithTwins(Timeline):
    """Hands on a record that it has had before."""

    def take(self, epoch: str, kept: Kept | None) -> Change:
        at = self.position
        if kept is not None and at is not None and epoch == at.epoch and kept.offset <= at.offset:
            return Change((kept,))
        return super().take(epoch, kept)


class TimelineThatIsNeverVoid(Timeline):
    """Goes on as if the log had everything."""

    def void(self) -> None:
        pass


class RoomsWithTwins(MemoryRooms):
    """A log that forgets the numbers of its senders."""

    def append(self, append: Append, run: str, now: int) -> Appended:
        for room in self._rooms.values():
            room.numbers.clear()
        return super().append(append, run, now)


def without_run_id() -> HistoryModel:
    return HistoryModel(NODES, CLIENTS, checks_run=False)


def without_void() -> HistoryModel:
    return HistoryModel(NODES, CLIENTS, timeline=TimelineThatIsNeverVoid)


def without_twin_check() -> HistoryModel:
    return HistoryModel(NODES, CLIENTS, timeline=TimelineWithTwins)


def without_twin_check_in_the_log() -> HistoryModel:
    return HistoryModel(NODES, CLIENTS, rooms=RoomsWithTwins)


@pytest.mark.timeout(60 + EXAMPLES // 4)  # they take some 30 ms each, and the machine may have other work
def test_what_a_client_is_told_is_true() -> None:
    run_state_machine_as_test(
        RoomMachine, settings=settings(RUN, max_examples=EXAMPLES or USUAL_EXAMPLES, derandomize=not EXAMPLES)
    )


@pytest.mark.parametrize("new_model", [without_run_id, without_twin_check, without_twin_check_in_the_log])
def test_the_machine_finds_what_is_missing(new_model: Callable[[], HistoryModel]) -> None:
    class IncompleteRoom(RoomMachine):
        def new_model(self) -> HistoryModel:
            return new_model()

    search = settings(RUN, max_examples=MAX_SEARCH, derandomize=True, database=None, phases=(Phase.generate,))
    with pytest.raises(Lie):
        run_state_machine_as_test(IncompleteRoom, settings=search)


def come_back_after_a_fallback(model: HistoryModel) -> None:
    """Let a client come back to another node, after its first one had delivered a message without the log."""
    client, neighbour, _ = model.clients
    first, second, _ = model.nodes
    for each, node in ((client, first), (neighbour, second)):
        model.join(each, node)
        model.start_read(node)
        model.finish_read(node)
        model.admit(node)
    model.drop(client, 9, forget=False)
    model.say(first, "unsent")
    model.fall_back(first, has_path=True)
    while second.copies:
        model.take_copy(second, first.origin)
    model.join(client, second)
    model.admit(second)
    client.receive(9)
    model.finish()


def without_void_notice() -> HistoryModel:
    return HistoryModel(NODES, CLIENTS, sends_notices=False)


@pytest.mark.parametrize("new_model", [without_void_notice, without_void])
def test_a_client_is_told_of_a_message_that_went_another_path(new_model: Callable[[], HistoryModel]) -> None:
    come_back_after_a_fallback(HistoryModel(NODES, CLIENTS))
    with pytest.raises(Lie, match="on another path"):
        come_back_after_a_fallback(new_model())


class Fallbacks:
    """A client at a good position of an epoch that its node has heard to begin, and whose notice is still under way."""

    def __init__(self) -> None:
        self.model = HistoryModel(NODES, CLIENTS)
        self.first, self.second, self.third = self.model.nodes
        self.client = self.model.clients[0]
        self.model.join(self.client, self.second)
        self.read()
        self.model.admit(self.second)
        self.model.say(self.first, "unsent")
        self.model.fall_back(self.first, has_path=True)
        self.take_copies(self.first, 2)
        self.model.append(self.first)
        self.hear()
        self.model.now += 4_000
        for _ in range(2):
            self.model.say(self.first, "kept")
            self.hear()
        self.client.receive(99)
        self.model.drop(self.client, 99, forget=False)

    def hear(self) -> None:
        """Let all records come to the second node, and let it read what it wants."""
        while self.second.records:
            self.model.take_record(self.second, 0)
        self.read()

    def read(self) -> None:
        """Let the second node read what it wants."""
        while self.second.wanted is not None:
            self.model.start_read(self.second)
            self.model.finish_read(self.second)

    def take_copies(self, sender: ModelNode, number: int) -> None:
        """Let the next of what a node has sent on another path come to the second one."""
        for _ in range(number):
            self.model.take_copy(self.second, sender.origin)

    def come_back(self) -> bool | None:
        """Let the client come back; return whether it is told that nothing is missing."""
        self.model.join(self.client, self.second)
        self.model.admit(self.second)
        frame = self.client.frames[0]
        assert isinstance(frame, RoomFrame)
        return frame.recovered


def test_a_client_is_recovered_once_the_epoch_that_a_late_notice_tells_of_is_read() -> None:
    room = Fallbacks()
    assert room.second.timeline is not None
    room.second.timeline.void()  # as by a notice of the same node that came late
    room.take_copies(room.first, 1)
    room.read()
    assert room.come_back() is True


def test_an_epoch_of_one_node_does_not_serve_for_what_another_has_delivered_since() -> None:
    room = Fallbacks()
    room.model.say(room.third, "unsent")
    room.model.fall_back(room.third, has_path=True)
    room.take_copies(room.third, 2)
    room.take_copies(room.first, 1)
    room.read()
    assert room.come_back() is False


def test_a_read_that_began_before_an_epoch_did_does_not_show_it() -> None:
    room = Fallbacks()
    room.take_copies(room.first, 1)
    room.model.say(room.third, "unsent")
    room.model.fall_back(room.third, has_path=True)
    room.take_copies(room.third, 2)
    room.model.compare(room.second)
    room.model.start_read(room.second)
    room.model.append(room.third)
    room.take_copies(room.third, 1)
    room.model.finish_read(room.second)
    assert room.come_back() is False


def test_who_came_after_a_message_that_went_past_the_log_is_told_of_it_although_the_room_is_void_again() -> None:
    model = HistoryModel(NODES, CLIENTS)
    first, second, _ = model.nodes
    neighbour, client, _ = model.clients
    model.join(neighbour, second)
    model.start_read(second)
    model.finish_read(second)
    model.admit(second)
    model.say(second, "unsent")
    model.fall_back(second, has_path=False)
    model.join(client, second)
    model.admit(second)

    model.say(first, "unsent")
    model.fall_back(first, has_path=False)
    model.append(first)
    while second.records:
        model.take_record(second, 0)
    model.start_read(second)
    model.finish_read(second)
    client.receive(99)
    assert client.position is not None
    second.owes_epoch = False  # as the first node has just begun one
    model.append(second)
    model.say(first, "kept")
    assert second.timeline is not None
    second.timeline.void()  # as by a notice of the third node
    while second.records:
        model.take_record(second, 0)
    client.receive(99)
    assert client.position is None
    model.finish()
