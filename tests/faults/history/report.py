"""The results with rooms that keep history: a table, and a section of docs/reliability.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.faults.history.node_program import TTL
from tests.faults.history.outcome import RoomOutcome
from tests.faults.history.scenarios import LONG, SCENARIOS, SHORT
from tests.faults.history.workload import NODES
from tests.faults.tables import lasts, table_of

HEADING = "## Rooms that keep history"
_NEXT_HEADING = "## How it is done"
_COLUMNS = (
    "fault",
    "said",
    "deliveries",
    "drops",
    "recovered",
    "told of a loss",
    "missing",
    "lies",
    "twice",
    "reordered",
    "again",
    "load",
    "verdict",
)


def table(outcomes: Iterable[RoomOutcome]) -> str:
    """Return a Markdown table that is readable as it is."""
    return table_of(_COLUMNS, map(_row, outcomes), texts=1)


def put_section(page: str, outcomes: Sequence[RoomOutcome]) -> str:
    """Return the text of docs/reliability.md with another section about rooms that keep history."""
    before, _, rest = page.partition(f"{HEADING}\n")
    if not rest:
        before, _, rest = page.partition(f"{_NEXT_HEADING}\n")
        return f"{before}{section(outcomes)}\n{_NEXT_HEADING}\n{rest}"
    _, _, after = rest.partition(f"{_NEXT_HEADING}\n")
    return f"{before}{section(outcomes)}\n{_NEXT_HEADING}\n{after}"


def section(outcomes: Sequence[RoomOutcome]) -> str:
    """Return the text of the section."""
    rows = "\n".join(f"| {each.name} | {each.title} | {lasts(each.long)} |" for each in SCENARIOS)
    problems = "".join(f"- {outcome.scenario}: {problem}\n" for outcome in outcomes for problem in outcome.problems)
    if problems:
        problems = f"What did not hold:\n\n{problems}\n"
    reasons = "\n".join(_reasons(outcome) for outcome in outcomes if outcome.broken)
    dates = " and ".join(sorted({outcome.date for outcome in outcomes}))
    workload, form = LONG.workload, LONG
    return f"""\
{HEADING}

{NODES} servers on one port, {workload.clients} clients in {workload.rooms} rooms, {workload.rate} messages a second.
The clients are `crosswire.Client`; each drops its connection again and again, half of the times without a close, for
0.1 to {form.away:g} s where nothing else is said, and comes back to any of the servers. A room keeps
{workload.size:,} messages for {TTL:g} s. Made on {dates}.

| name | what is done | lasts |
| --- | --- | --- |
{rows}

What must hold, for every client in every room, under every fault:

- Between two messages, nothing that was said is missing, unless the client was told `recovered: false` in between, or
  is told soon after messages without a position, which come while the log can't be reached. The loss ends when it is
  told: whatever is said later comes.
- `recovered: true` is true: the client was at that position, and gets all that follows.
- Nothing comes twice, and nothing comes after what was said later in the same room, as long as no loss is told.
- If Redis forgets the rooms, every client is told, and none that was away meanwhile is recovered.

{table(outcomes)}

{reasons}

{problems}How to read it:

- *drops*: how often clients lost or closed their connection on purpose; those of servers that end come on top.
- *recovered*: how often a client was told that it has everything; *told of a loss*: that it may not have.
- *missing*: messages that a client did not get although it was told of no loss; *lies*: answers that were not true.
- *again*: messages that a client heard a second time on another connection, after it was told of a loss. They were
  delivered without a position while the log could not be reached, and are kept once it can be.
- *load*: the load average of the machine before, of other work. Above the number of cores, other work has the
  processor for most of the time.

The clients' diary has each message with its position and each `RoomState`; `tests/faults/history/checker.py` compares
it with what the servers wrote down. `make test` has short forms of rooms-kill-server, rooms-kill-redis and
rooms-older-dump, with {SHORT.workload.clients} clients.
"""


def _reasons(outcome: RoomOutcome) -> str:
    shown = ", ".join(f"{count} {reason}" for reason, count in sorted(outcome.broken.items()))
    return f"- {outcome.scenario}: told of a loss: {shown}."


def _row(outcome: RoomOutcome) -> tuple[str, ...]:
    return (
        outcome.scenario,
        f"{outcome.published:,}",
        f"{outcome.deliveries:,}",
        f"{outcome.drops:,}",
        f"{outcome.recovered:,}",
        f"{sum(outcome.broken.values()):,}",
        f"{outcome.missing:,}",
        f"{outcome.lies:,}",
        f"{outcome.twice:,}",
        f"{outcome.reordered:,}",
        f"{outcome.again:,}",
        f"{outcome.load:.1f}",
        "FAILED" if outcome.problems else "held",
    )
