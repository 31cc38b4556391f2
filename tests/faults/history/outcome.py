"""Results of a run with rooms that keep history, and the faults among them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from math import inf

import msgspec

from tests.faults.history.checker import (
    Event,
    Finding,
    examine,
    heard_by_anybody,
    lie_about_forgotten,
    two_messages_at_one_place,
)
from tests.faults.history.cluster import RoomCluster
from tests.faults.history.scenarios import RoomScenario
from tests.faults.programs import Line

_FINAL_TIME = 1.0
"""Seconds before the death of a server in which what it said may be lost, as it had not left the process."""
_SHOWN = 5
"""Problems of one kind that are shown."""

Events = dict[tuple[int, int], list[Event]]


class RoomOutcome(msgspec.Struct):
    """Measurements of a run, and its faults.

    Attributes:
        scenario: its name.
        date: of the run.
        load: average load of the machine when it began, of other work.
        published: messages.
        deliveries: messages that clients got, each counted once for each client.
        drops: how often a client dropped its connection.
        recovered: how often a client was told that it has everything.
        broken: how often one was told that messages may be missing, by reason.
        missing: messages that a client missed without being told.
        lies: answers that were not true.
        twice: messages that came twice.
        reordered: messages that came too late.
        unknown: messages that nobody published.
        again: messages that came to a client a second time, on another connection, after it was told of a loss.
        with_node: messages that died with the server that said them.
        problems: what must not be.
    """

    scenario: str
    date: str = ""
    load: float = 0.0
    published: int = 0
    deliveries: int = 0
    drops: int = 0
    recovered: int = 0
    broken: dict[str, int] = {}
    missing: int = 0
    lies: int = 0
    twice: int = 0
    reordered: int = 0
    unknown: int = 0
    again: int = 0
    with_node: int = 0
    problems: list[str] = []


def new_outcome(scenario: RoomScenario, date: str) -> RoomOutcome:
    """Return the outcome of a run that begins."""
    return RoomOutcome(scenario.name, date, os.getloadavg()[0], broken={}, problems=[])


class RoomJudge:
    """Looks at everything that a cluster has written down.

    Args:
        cluster: that has ended.
        scenario: what was done to it.
        outcome: filled in.
        began: when the fault began, in seconds of real time.
    """

    def __init__(self, cluster: RoomCluster, scenario: RoomScenario, outcome: RoomOutcome, began: float) -> None:
        self._cluster = cluster
        self._scenario = scenario
        self._outcome = outcome
        self._began = began
        self._published = cluster.published()
        self._events: Events = cluster.events()

    def judge(self, report: Line, drops: int) -> None:
        """Compute the outcome; ``drops`` must have been made at least."""
        outcome = self._outcome
        outcome.published = sum(map(len, self._published.values()))
        outcome.drops = report["drops"]
        died = self._died()
        outcome.with_node = len(died)
        for (client, room), events in sorted(self._events.items()):
            self._add(client, room, examine(self._streams_of(room), events, died))
        self._judge_places()
        if self._scenario.forgets:
            self._judge_forgotten()
        self._judge_counters()
        outcome.problems.extend(self._problems(drops))

    def _streams_of(self, room: int) -> dict[int, list[float]]:
        workload = self._cluster.workload
        return {stream: times for stream, times in self._published.items() if workload.room(stream) == room}

    def _died(self) -> set[tuple[int, int]]:
        """Return the last messages of killed servers that nobody got: they had not left the process."""
        killed = {life.number: life.killed_at for life in self._cluster.lives if life.killed_at is not None}
        heard = heard_by_anybody(self._events.values())
        return {
            (stream, number)
            for stream, times in self._published.items()
            if (end := killed.get(self._cluster.workload.life(stream))) is not None
            for number, at in enumerate(times)
            if at >= end - _FINAL_TIME and (stream, number) not in heard
        }

    def _add(self, client: int, room: int, finding: Finding) -> None:
        outcome = self._outcome
        outcome.deliveries += finding.heard
        outcome.recovered += finding.recovered
        outcome.broken = dict(Counter(outcome.broken) + finding.broken)
        outcome.missing += len(finding.missing)
        outcome.lies += len(finding.lies)
        outcome.twice += finding.twice
        outcome.reordered += finding.reordered
        outcome.unknown += finding.unknown
        outcome.again += finding.again
        shown = [f"client {client}, room {room}: {lie}" for lie in finding.lies]
        outcome.problems.extend(shown[: max(_SHOWN - len(outcome.problems), 0)])

    def _judge_places(self) -> None:
        if places := two_messages_at_one_place(self._events.values()):
            self._outcome.problems.append(f"several messages have the same position: {places[:_SHOWN]}")

    def _judge_forgotten(self) -> None:
        """Check that each client was told of the loss, and first of all if it was away while it happened."""
        for (client, room), events in sorted(self._events.items()):
            back_at = self._cluster.back_at if client in self._cluster.away_in_fault else inf
            lie = lie_about_forgotten(events, self._began, back_at)
            if lie is not None:
                self._outcome.problems.append(f"client {client}, room {room}: {lie}")

    def _judge_counters(self) -> None:
        for life in self._cluster.lives:
            for report in life.program.all("report"):
                if report["refused"] or report["dropped"]:
                    counts = f"refused {report['refused']} messages and dropped {report['dropped']}"
                    logged = "\n".join(life.program.warnings[:_SHOWN])
                    self._outcome.problems.append(f"server {life.number} {counts}; it logged:\n{logged}")

    def _problems(self, drops: int) -> Iterable[str]:
        outcome = self._outcome
        must_be_none = {
            "missing": outcome.missing,
            "lies": outcome.lies,
            "twice": outcome.twice,
            "reordered": outcome.reordered,
            "unknown": outcome.unknown,
        }
        for what, count in must_be_none.items():
            if count:
                yield f"{count} {what}"
        if not outcome.published or not outcome.deliveries:
            yield "nothing was published"
        if not outcome.recovered:
            yield "nobody was recovered"
        if outcome.drops < drops:
            yield f"{outcome.drops} connections were dropped, not {drops}"
