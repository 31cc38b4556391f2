"""A room with three nodes and three clients in which anything may happen: what a client is told is true."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.support.history_model import HistoryModel

NODES = CLIENTS = 3
SEARCHED_EXAMPLES = int(os.environ.get("CROSSWIRE_MACHINE_EXAMPLES", "150"))
"""Runs of the machine; ``make faults`` makes more."""
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

    @rule(node=st.integers(0, NODES - 1), sender=st.integers(0, 9), number=st.integers(1, 4))
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
        if self.model.clients[client].node is None:
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


def test_what_a_client_is_told_is_true() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        RoomMachine,
        settings=settings(
            max_examples=SEARCHED_EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
