"""Results of a run, and the faults among them."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

import msgspec

from tests.faults.checker import Finding, Gap, Missing, delays, examine, is_signalled, is_tail
from tests.faults.cluster import Cluster
from tests.faults.logs import Arrivals
from tests.faults.scenarios import Scenario
from tests.faults.workload import NODES, node_name

LATE_AFTER = 1.0
"""Seconds after which a message is late: many times its usual delay."""
RECOVERY_TIMEOUT = 3.0
"""Seconds after the end of a fault within which all messages must arrive in time again."""
NOTICE_TIMEOUT = 3.0
"""Seconds within which the others must notice that a node is gone."""
_SLACK = 1.5
"""Seconds more that a busy machine may take for either."""
_FINAL_TIME = 1.0
"""Seconds before the death of a node in which published messages may be lost, as they had not left the process."""
_WARNINGS = 5
"""Warnings that a problem with a node quotes, the first ones."""


class Outcome(msgspec.Struct):
    """Measurements of a run, and its faults.

    Attributes:
        delivery: of the nodes.
        scenario: its name.
        published: messages.
        deliveries: of these messages to surviving clients that were due.
        lost: deliveries that were not made.
        silent: those of them of which nobody was told.
        with_node: those of them whose message died together with the node that published it.
        duplicated: deliveries made again.
        reordered: deliveries made too late.
        unknown: deliveries of what was not published.
        signalled: gaps that nodes were told of.
        dropped: messages that found no room to wait.
        longest: seconds that a message took at most.
        disrupted: seconds from the beginning of the fault until messages were prompt again, during it.
        recovered: the same from the end of the fault.
        noticed: seconds until the others knew that a node was gone; the last of them.
        returned: seconds until they knew that it was back.
        disconnected: surviving clients that lost their connection.
        problems: what must not be.
    """

    delivery: str
    scenario: str
    published: int = 0
    deliveries: int = 0
    lost: int = 0
    silent: int = 0
    with_node: int = 0
    duplicated: int = 0
    reordered: int = 0
    unknown: int = 0
    signalled: int = 0
    dropped: int = 0
    longest: float = 0
    disrupted: float = 0
    recovered: float = 0
    noticed: float | None = None
    returned: float | None = None
    disconnected: int = 0
    problems: list[str] = []


class Judge:
    """Looks at everything that a cluster has written down.

    Args:
        cluster: that has ended.
        scenario: what was done to it.
        outcome: filled in.
        began: when the fault began, in seconds of real time.
        ended: when it ended.
    """

    def __init__(self, cluster: Cluster, scenario: Scenario, outcome: Outcome, began: float, ended: float) -> None:
        self._cluster = cluster
        self._scenario = scenario
        self._outcome = outcome
        self._began = began
        self._ended = ended
        self._published = cluster.published()
        self._gaps = [[Gap(line["since"], line["until"]) for line in node.all("gap")] for node in cluster.nodes]

    def judge(self, lost_connections: list[int]) -> None:
        """Compute the outcome from the logs."""
        outcome, cluster = self._outcome, self._cluster
        outcome.published = sum(map(len, self._published.values()))
        outcome.disconnected = len(set(lost_connections).intersection(cluster.living_clients))
        self._judge_messages()
        self._judge_counters()
        self._judge_membership()
        outcome.problems.extend(self._problems())

    # Messages

    def _judge_messages(self) -> None:
        received, workload = self._cluster.received(), self._cluster.workload
        for client in self._cluster.living_clients:
            for target in workload.targets_of(client):
                for node in range(NODES):
                    stream = workload.stream(node, target)
                    self._judge_stream(client, stream, received.pop((client, stream), Arrivals()))
        living = set(self._cluster.living_clients)
        strays = [client for client, _ in received if client in living]
        if strays:
            self._outcome.problems.append(f"clients {strays[:5]} got what was not for them")

    def _judge_stream(self, client: int, stream: int, came: Arrivals) -> None:
        outcome = self._outcome
        published = self._published.get(stream, [])
        finding = examine(published, came.numbers, came.times)
        outcome.deliveries += len(published)
        outcome.lost += finding.lost
        outcome.duplicated += finding.duplicated
        outcome.reordered += finding.reordered
        outcome.unknown += finding.unknown
        self._judge_missing(client, stream, finding)
        took = delays(published, came.numbers, came.times, LATE_AFTER)
        outcome.longest = max(outcome.longest, took.longest)
        self._note_disruption(took.last_late, *[each.last for each in finding.missing if not self._died(stream, each)])

    def _judge_missing(self, client: int, stream: int, finding: Finding) -> None:
        gaps = self._gaps[self._cluster.workload.node_of(client)]
        for missing in finding.missing:
            if self._died(stream, missing):
                self._outcome.with_node += missing.size
            elif not is_signalled(missing, gaps):
                self._outcome.silent += missing.size
                if len(self._outcome.problems) < 5:
                    ago = f"{missing.since - self._began:.2f} to {missing.until - self._began:.2f} s"
                    self._outcome.problems.append(f"silent: client {client}, stream {stream}, {missing.size}, {ago}")

    def _died(self, stream: int, missing: Missing) -> bool:
        """Whether messages died with their node, of which the others are told by ``on_leave``."""
        killed = self._scenario.victim is not None and not self._scenario.returns
        from_victim = self._cluster.workload.origin(stream) == self._scenario.victim
        return killed and from_victim and is_tail(missing, self._began, _FINAL_TIME)

    def _note_disruption(self, *moments: float) -> None:
        """Take note of messages published then that were late or lost."""
        outcome = self._outcome
        for moment in moments:
            if moment >= self._ended:
                outcome.recovered = max(outcome.recovered, moment - self._ended)
            elif moment >= self._began:
                outcome.disrupted = max(outcome.disrupted, moment - self._began)

    # Nodes

    def _judge_counters(self) -> None:
        outcome = self._outcome
        for number, node in enumerate(self._cluster.nodes):
            signalled = len(node.all("gap"))
            outcome.signalled += signalled
            for report in node.all("report"):
                outcome.dropped += report["dropped"]
                if report["gaps"] != signalled:
                    outcome.problems.append(f"node {number} counts {report['gaps']} gaps and told of {signalled}")
                if report["refused"]:
                    logged = "\n".join(node.warnings[:_WARNINGS])
                    outcome.problems.append(f"node {number} refused {report['refused']} messages; it logged:\n{logged}")

    def _judge_membership(self) -> None:
        victim = self._scenario.victim
        for number, node in enumerate(self._cluster.nodes):
            dead = {line["name"] for line in node.all("leave") if line["reason"] != "goodbye"}
            if mistaken := dead - ({node_name(victim)} if victim is not None else set()):
                self._outcome.problems.append(f"node {number} took {sorted(mistaken)} for dead")
        if victim is None:
            return
        self._outcome.noticed = self._told(victim, "leave", self._began)
        if self._scenario.returns:
            self._outcome.returned = self._told(victim, "join", self._ended)

    def _told(self, victim: int, what: str, since: float) -> float:
        """Return the seconds until all others were told of a node."""
        others = [node for number, node in enumerate(self._cluster.nodes) if number != victim]
        return max(_first(node.all(what), node_name(victim), since) for node in others)

    # What must hold

    def _problems(self) -> Iterable[str]:
        outcome = self._outcome
        must_be_none: dict[str, int] = {
            "duplicated": outcome.duplicated,
            "reordered": outcome.reordered,
            "unknown": outcome.unknown,
            "silently lost": outcome.silent,
            "clients disconnected": outcome.disconnected,
        }
        if self._scenario.lossless and outcome.delivery == "redundant":
            must_be_none["lost"] = outcome.lost
        for what, count in must_be_none.items():
            if count:
                yield f"{count} {what}"
        limits: list[tuple[str, float | None, float]] = [
            ("everything flows again", outcome.recovered, RECOVERY_TIMEOUT),
            ("the node's end is noticed", outcome.noticed, NOTICE_TIMEOUT),
            ("its return is noticed", outcome.returned, RECOVERY_TIMEOUT),
        ]
        for what, measured, limit in limits:
            if measured is not None and measured > limit + _SLACK:
                yield f"{what} after {measured:.1f} s, not within {limit:g} s"
        if outcome.published == 0 or outcome.deliveries == 0:
            yield "nothing was published"


def _first(lines: list[dict[str, Any]], name: str, since: float) -> float:
    return min((line["at"] - since for line in lines if line["name"] == name and line["at"] >= since), default=inf)
