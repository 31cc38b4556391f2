"""A model of servers, clients and the log of one room, in which everything may be lost, doubled, late, killed or wiped.

It has timelines and the log in memory as they are, and in small what the nodes do around them. Each client checks what
it is told: its messages come once and in order, and nothing is missing since its position unless it was told so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count

import msgspec

from crosswire.cluster.log.interface import Append, AppendFailure, NewMessage, RoomLog, Tail
from crosswire.cluster.log.memory_rooms import MemoryRooms
from crosswire.core.formats import EncodedMessage
from crosswire.core.kept_messages import Kept
from crosswire.core.log_records import LogRecord, unpack_record
from crosswire.core.positioned_messages import with_position
from crosswire.core.positions import LogPosition
from crosswire.core.targets import ToRoom
from crosswire.core.timeline import Change, Timeline
from tests.support.model_client import Fallback, Lie, ModelClient, RoomFrame, Truth, require

SIZE, TTL = 6, 60.0
"""Messages that the room keeps, and the seconds for which it does."""
LOG = RoomLog(ToRoom("chat", "1"), b"chat/1", SIZE, TTL)
SETTLING = 3.0
"""Seconds of a new epoch whose positions are no good, after messages went on another path."""
MAX_BYTES = 1_000_000
VOID, BEGAN = "void", "began"
"""Notices of a node: it has delivered messages that the log does not have; it has begun a new epoch since then."""
ROUNDS = 60
"""Rounds in which everything that is under way must have arrived."""


@dataclass(eq=False)
class ModelNode:
    """What a node knows of the room.

    Attributes:
        origin: names one run of the node.
        queue: number and message of what is not known to be kept.
        records: of the log, under way to this node.
        copies: by sender, what is under way on other paths: number and message, or notices: VOID, and BEGAN.
        void_for: the nodes for whose messages the log is void, as they say.
        wanted: the offset after which the log must be read; None if there is nothing to read.
        answer: of the log, under way.
        owes_epoch: whether it delivered messages without a position, and no epoch began with its own append since.
        is_marked: whether it heard that the log is void, and no epoch is in use yet that began after that.
        is_cut: whether records don't reach it.
    """

    origin: int
    timeline: Timeline | None = None
    members: list[ModelClient] = field(default_factory=list)
    joining: list[ModelClient] = field(default_factory=list)
    queue: list[tuple[int, int]] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    copies: dict[int, list[tuple[int, int] | str]] = field(default_factory=dict)
    void_for: set[int] = field(default_factory=set)
    wanted: int | None = None
    answer: Tail | None = None
    number: int = 0
    owes_epoch: bool = False
    settles: bool = False
    is_marked: bool = False
    is_cut: bool = False

    @property
    def name(self) -> bytes:
        return self.origin.to_bytes(8, "big")


class HistoryModel:
    """The room, with all that has a part in it.

    Args:
        nodes: number of nodes.
        clients: number of clients.
        timeline: makes a timeline.
        rooms: makes the log.
        checks_run: whether a log sees that it is of another run of its holder.
        sends_notices: whether nodes tell each other that the log is void.
    """

    def __init__(
        self,
        nodes: int,
        clients: int,
        *,
        timeline: Callable[[int, float], Timeline] = Timeline,
        rooms: Callable[[Callable[[], str]], MemoryRooms] = MemoryRooms,
        checks_run: bool = True,
        sends_notices: bool = True,
    ) -> None:
        self._origins, self._messages, self._epochs, self._runs = count(1), count(1), count(1), count(1)
        self._new_timeline = timeline
        self._checks_run = checks_run
        self._sends_notices = sends_notices
        self.now = 1_000_000
        self.is_down = False
        self.rooms = rooms(lambda: f"E{next(self._epochs):07}")
        self.run = f"run{next(self._runs)}"
        self._snapshot = deepcopy(self.rooms)
        self.truth = Truth()
        self.knowing: set[int] = set()  # origins of the nodes that know that the log is void
        self.nodes = [ModelNode(next(self._origins)) for _ in range(nodes)]
        self.clients = [ModelClient(self.truth) for _ in range(clients)]
        self._node_of: dict[ModelClient, ModelNode] = {}

    # The log.

    def save(self) -> None:
        """Save the state of the log, as a Redis that writes its file."""
        self._snapshot = deepcopy(self.rooms)

    def roll_back(self) -> None:
        """Start the holder of the log again with the state that was saved."""
        self.rooms = deepcopy(self._snapshot)
        self._restart()

    def wipe(self) -> None:
        """Start the holder of the log again without any state."""
        self.rooms.clear()
        self._restart()

    def _restart(self) -> None:
        if self._checks_run:
            self.run = f"run{next(self._runs)}"
        for node in self.nodes:
            node.answer = None

    def _publish(self, records: Sequence[bytes]) -> None:
        for record in map(unpack_record, records):
            if record.offset:
                message = msgspec.json.decode(record.body)["payload"]
                self.truth.logged.setdefault((record.epoch, record.offset), set()).add(message)
                self.truth.kept.add(message)
        for node in self.nodes:
            if node.timeline is not None and not node.is_cut:
                node.records += records

    # Sending.

    def say(self, node: ModelNode, fate: str) -> None:
        """Say something in the room; it is "kept", "unanswered" (kept, but the answer is lost) or "unsent"."""
        node.number += 1
        node.queue.append((node.number, next(self._messages)))
        self.append(node, fate)

    def append(self, node: ModelNode, fate: str = "kept") -> None:
        """Append what is not known to be kept, and begin the epoch that the node owes."""
        is_new = node.owes_epoch or (node.is_marked and node.timeline is None) or _is_void(node)
        if self.is_down or fate == "unsent" or not (node.queue or is_new):
            return
        append = Append(
            LOG,
            node.name,
            0,
            [NewMessage(number, _body(message)) for number, message in node.queue],
            is_new,
            SETTLING if is_new and (node.settles or node.is_marked) else 0.0,
            _ignore_positions,
            _ignore_failure,
        )
        _, records = self.rooms.append(append, self.run, self.now)
        self._publish(records)
        if is_new:
            self.knowing.clear()
        if fate == "kept":
            node.queue.clear()
            node.owes_epoch = node.settles = False
            if node.timeline is None:
                node.is_marked = False
            if is_new:
                self._tell_of_epoch(node)

    def fall_back(self, node: ModelNode, *, has_path: bool) -> None:
        """Deliver what is not known to be kept without a position: to all nodes, or here only if there is no path."""
        if not node.queue:
            return
        for number, message in node.queue:
            self.truth.passed_by.add(message)
            self._deliver_unplaced(node, node.name, number, message)
        node.owes_epoch = True
        _make_void(node)
        node.void_for.add(node.origin)
        if not has_path:
            return
        node.settles = True
        others = [other for other in self.nodes if other is not node]
        after = self.rooms.last_position(LOG, self.run, self.now)
        told = frozenset(each.origin for each in self.nodes)
        self.truth.fallbacks += [Fallback(message, after, told) for _, message in node.queue]
        for other in others:
            other.copies.setdefault(node.origin, []).extend(node.queue)
        node.queue = []
        self._send_notice(node)

    def _send_notice(self, node: ModelNode) -> None:
        self.knowing = {each.origin for each in self.nodes}
        node.void_for.add(node.origin)
        for other in self.nodes:
            if other is not node and self._sends_notices:
                other.copies.setdefault(node.origin, []).append(VOID)

    def _tell_of_epoch(self, node: ModelNode) -> None:
        """Let all know that the node has begun an epoch for all that it has delivered past the log."""
        for other in self.nodes:
            if other is not node and self._sends_notices and node.origin in node.void_for:
                other.copies.setdefault(node.origin, []).append(BEGAN)
        self._renew(node, node.origin)

    def _renew(self, node: ModelNode, owner: int) -> None:
        node.void_for.discard(owner)
        if node.timeline is not None and not node.void_for:
            self._apply(node, node.timeline.renew())

    def _deliver_unplaced(self, node: ModelNode, origin: bytes, number: int, message: int) -> None:
        if node.timeline is not None and node.timeline.take_unplaced(origin, number):
            for client in node.members:
                client.frames.append(_body(message))

    # Receiving.

    def take_copy(self, node: ModelNode, sender: int) -> None:
        """Take the next of what a node has sent on another path."""
        item = node.copies[sender].pop(0)
        if not node.copies[sender]:
            del node.copies[sender]
        if item == BEGAN:
            self._renew(node, sender)
            return
        if item == VOID:
            node.void_for.add(sender)
        elif not isinstance(item, str):
            self._deliver_unplaced(node, sender.to_bytes(8, "big"), *item)
            if not self._sends_notices:
                return
        node.is_marked = True
        _make_void(node)

    def take_record(self, node: ModelNode, index: int, *, again: bool = False) -> None:
        """Take one of the records that are under way, and perhaps let a twin come later."""
        record = unpack_record(node.records[index] if again else node.records.pop(index))
        if node.timeline is not None:
            self._apply(node, node.timeline.take(record.epoch, _kept(record) if record.offset else None))

    def start_read(self, node: ModelNode) -> None:
        """Let the log answer what the node reads."""
        if node.wanted is not None and node.answer is None and not self.is_down:
            if node.timeline is not None:
                node.timeline.begin_read()
            node.answer, records = self.rooms.read(LOG, self.run, self.now, node.wanted)
            self._publish(records)

    def finish_read(self, node: ModelNode) -> None:
        """Let the answer of the log arrive."""
        if (tail := node.answer) is None or node.timeline is None:
            return
        node.answer = node.wanted = None
        ahead = (tail.now - self.now) / 1000
        self._apply(node, node.timeline.load(tail.last, tail.settled, ahead, [_kept(each) for each in tail.records]))

    def compare(self, node: ModelNode) -> None:
        """Compare what the node knows with the top of the log, and read what it does not know."""
        timeline = node.timeline
        if timeline is None or not timeline.is_loaded or node.wanted is not None or self.is_down:
            return
        top, position = self.rooms.last_position(LOG, self.run, self.now), timeline.position
        if top is None or top != position:
            node.wanted = position.offset if position and top and top.epoch == position.epoch else 0
            timeline.expect_load(node.wanted)

    def _apply(self, node: ModelNode, change: Change) -> None:
        for client in node.members:
            for run in change.before:
                client.frames.append(RoomFrame(None, False))
                client.frames += [each.message.json for each in run]
            if change.lost is not None:
                client.frames.append(RoomFrame(change.at, False))
            client.frames += [each.message.json for each in change.ready]
        if change.voids:
            node.owes_epoch = node.settles = True
            self._send_notice(node)
        if change.needs is not None:
            node.wanted = change.needs
        if node.timeline is not None and node.timeline.position is not None:
            node.is_marked = False

    # Clients.

    def is_connected(self, client: ModelClient) -> bool:
        """Whether a client is connected to a node."""
        return client in self._node_of

    def join(self, client: ModelClient, node: ModelNode) -> None:
        """Let a client come to a node, and wait until it can be let into the room."""
        self._node_of[client] = node
        node.joining.append(client)
        if node.timeline is None:
            node.timeline = self._new_timeline(SIZE, TTL)
            node.wanted = 0
            if node.is_marked or node.owes_epoch:
                node.timeline.void()

    def admit(self, node: ModelNode, rewind: int = 0) -> None:
        """Let those into the room that wait, if the log was read or can't be reached."""
        if node.timeline is None or not (node.timeline.is_loaded or self.is_down):
            return
        for client in node.joining:
            offered = client.position
            answer = node.timeline.recover(offered, rewind=rewind, now=self.now / 1000, max_bytes=MAX_BYTES)
            client.frames = [RoomFrame(answer.at, answer.recovered), *(each.message.json for each in answer.messages)]
            if answer.recovered and offered is not None and not node.copies:
                for fallback in self.truth.fallbacks:
                    if node.origin in fallback.told:
                        client.check_fallback(offered, fallback)
            node.members.append(client)
        node.joining.clear()

    def drop(self, client: ModelClient, received: int, *, forget: bool) -> None:
        """Cut a client's connection after some of its frames; its node may forget the room if nobody is left."""
        node = self._node_of.pop(client, None)
        if node is None:
            return
        client.receive(received)
        client.frames = []
        for clients in (node.members, node.joining):
            if client in clients:
                clients.remove(client)
        if forget and not node.members and not node.joining:
            node.is_marked |= _is_void(node)
            node.timeline = node.wanted = node.answer = None
            node.records = []

    def kill(self, index: int) -> None:
        """Kill a node, and start another one; but not the only one that knows that the log is void."""
        node = self.nodes[index]
        if self.knowing == {node.origin}:
            return
        self.knowing.discard(node.origin)
        for client in (*node.members, *node.joining):
            self.drop(client, len(client.frames) // 2, forget=False)
        self.nodes[index] = ModelNode(next(self._origins))

    # The end.

    def finish(self) -> None:
        """Mend everything, let all clients come back, wait until nothing is under way, and check what they know."""
        self.is_down = False
        for index, client in enumerate(self.clients):
            if not self.is_connected(client):
                self.join(client, self.nodes[index % len(self.nodes)])
        self._let_all_arrive()
        for client in self.clients:
            require(client in self._node_of[client].members, "a client waits forever")
            client.check()

    def _let_all_arrive(self) -> None:
        for _ in range(ROUNDS):
            for node in self.nodes:
                node.is_cut = False
                self._work_off(node)
            if not any(_is_busy(node) or self._is_behind(node) for node in self.nodes):
                return
        raise Lie("the nodes do not come to rest")

    def _is_behind(self, node: ModelNode) -> bool:
        top = self.rooms.last_position(LOG, self.run, self.now)
        return node.timeline is not None and node.timeline.position != top

    def _work_off(self, node: ModelNode) -> None:
        while node.records:
            self.take_record(node, 0)
        for sender in [*node.copies]:
            while sender in node.copies:
                self.take_copy(node, sender)
        self.append(node)
        self.compare(node)
        self.start_read(node)
        self.finish_read(node)
        self.admit(node)
        for client in self.clients:
            client.receive(len(client.frames))


def _is_busy(node: ModelNode) -> bool:
    return bool(
        node.records
        or node.copies
        or node.queue
        or node.owes_epoch
        or node.wanted is not None
        or node.joining
        or _is_void(node)
        or (node.is_marked and node.timeline is None)
    )


def _is_void(node: ModelNode) -> bool:
    return node.timeline is not None and node.timeline.is_loaded and node.timeline.position is None


def _make_void(node: ModelNode) -> None:
    if node.timeline is not None:
        node.timeline.void()


def _body(message: int) -> bytes:
    return b'{"event":"said","payload":%d}' % message


def _kept(record: LogRecord) -> Kept:
    at = LogPosition(record.epoch, record.offset)
    message = with_position(EncodedMessage(record.body), *at)
    return Kept(record.offset, record.time, record.origin, record.number, message, None)


def _ignore_positions(positions: Sequence[LogPosition]) -> None:
    """Ignore the positions: the model's nodes learn the fate of their appends from the model."""


def _ignore_failure(failure: AppendFailure, reason: str) -> None:
    """Ignore a failure, for the same reason."""
