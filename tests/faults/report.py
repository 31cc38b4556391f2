"""The results as a table, and as docs/reliability.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tests.faults.outcome import LATE_AFTER, NOTICE_TIMEOUT, RECOVERY_TIMEOUT, Outcome
from tests.faults.scenarios import SCENARIOS, SHORT, Length
from tests.faults.tables import lasts, table_of
from tests.faults.workload import NODES

_COLUMNS = (
    "fault",
    "delivery",
    "published",
    "deliveries",
    "lost",
    "silently",
    "duplicated",
    "reordered",
    "gaps",
    "longest",
    "disrupted",
    "recovered",
    "verdict",
)


def table(outcomes: Iterable[Outcome]) -> str:
    """Return a Markdown table that is readable as it is."""
    return table_of(_COLUMNS, map(_row, outcomes), texts=2)


def page(outcomes: Sequence[Outcome], length: Length, date: str, machine: Mapping[str, str]) -> str:
    """Return the text of the page."""
    failed = sum(bool(outcome.problems) for outcome in outcomes)
    verdict = "everything below held" if not failed else f"in {failed} of {len(outcomes)} runs something did not hold"
    parts = [_INTRODUCTION.format(date=date, verdict=verdict), _faults(), _promises(), _results(outcomes, length)]
    problems = "\n".join(
        f"- {outcome.scenario}, {outcome.delivery}: {problem}" for outcome in outcomes for problem in outcome.problems
    )
    parts += [f"What did not hold:\n\n{problems}\n"] if problems else []
    parts += [_READING.format(late=LATE_AFTER), _how(length), _made_on(machine)]
    return "\n".join(parts)


def _row(outcome: Outcome) -> tuple[str, ...]:
    lost = f"{outcome.lost:,}" + (f" ({outcome.with_node} with the node)" if outcome.with_node else "")
    return (
        outcome.scenario,
        outcome.delivery,
        f"{outcome.published:,}",
        f"{outcome.deliveries:,}",
        lost,
        f"{outcome.silent:,}",
        f"{outcome.duplicated:,}",
        f"{outcome.reordered:,}",
        f"{outcome.signalled:,}",
        f"{outcome.longest:.1f} s",
        f"{outcome.disrupted:.1f} s",
        f"{outcome.recovered:.1f} s",
        "FAILED" if outcome.problems else "held",
    )


_INTRODUCTION = """\
# Reliability

What happens to messages when a part of the system fails: measured, on real processes. This page is written by the run
itself, on {date}; {verdict}.
"""


def _faults() -> str:
    rows = "\n".join(f"| {each.name} | {each.title} | {lasts(each.long)} | {lasts(each.short)} |" for each in SCENARIOS)
    return f"""\
## The faults

| name | what is done | lasts | in `make test` |
| --- | --- | --- | --- |
{rows}
"""


def _promises() -> str:
    lossless = ", ".join(each.name for each in SCENARIOS if each.lossless)
    recovery, notice = RECOVERY_TIMEOUT, NOTICE_TIMEOUT
    return f"""\
## What must hold

For every client whose server lives on:

- With `delivery="redundant"`, nothing is lost in {lossless}.
- With either, nothing comes twice, and nothing that one server says to one audience comes out of order.
- Nothing is lost silently: whatever a client did not get lies within a gap that its server was told of by `on_gap`, and
  counted in `gaps`. What a server had not handed to its sockets when it was killed dies with it; of that the others are
  told by `on_leave`.
- It keeps its connection.
- {recovery:g} s after the end of the fault, everything flows as before. The others know within {notice:g} s that a
  server is gone, and take it in again when it is back. None that lives is taken for dead.
"""


def _results(outcomes: Sequence[Outcome], length: Length) -> str:
    noticed = "\n".join(_noticed(outcome) for outcome in outcomes if outcome.noticed is not None)
    clients, rate = length.workload.clients, length.workload.rate
    return f"""\
## Results

{NODES} servers, {clients} clients each, 2 Redis, {rate:,} messages a second: most to rooms of 6 clients on all servers,
some to users and to everyone.

{table(outcomes)}

{noticed}
"""


def _noticed(outcome: Outcome) -> str:
    back = "" if outcome.returned is None else f"; it was known to be back after {outcome.returned:.1f} s"
    return f"- {outcome.scenario}, {outcome.delivery}: noticed by the others after {outcome.noticed:.1f} s{back}."


_READING = """\
How to read it:

- *deliveries*: messages that were due, counted for each client that had to get them.
- *lost*: those that a client never got; *silently*: those of them that no gap covers. "With the node" are messages that
  a killed server had not sent yet.
- *gaps*: how often a server was told that it may have missed something. It is told of what it could not hear, whether
  or not anything was said meanwhile.
- *longest*: how long a message was under way at most.
- *disrupted*: how long after the beginning of the fault there were still messages that got lost or came more than
  {late:g} s late. *recovered*: the same after its end.

What it means:

- "fast" publishes each message on one Redis, and on another if that one does not acknowledge it. So even then little
  is lost while servers know what they hear: only what a Redis had acknowledged, and took with it. It does lose messages
  when a connection falls silent, as until that is noticed the others go on to publish there.
- While both Redis are gone, messages wait where they are published, up to `Redis(buffer=)`, and come late. Clients of
  the same server get them at once.
- While a server hangs, all that it and its clients say and hear waits; the others go on without it.
"""


def _how(length: Length) -> str:
    return f"""\
## How it is done

```
make faults
python -m tests.faults kill-redis blackhole
python -m tests.faults --write docs/reliability.md rooms-drops
python -m pytest tests/faults
```

The first runs all of them and writes this page; the second, some; the third renews the section of rooms that keep
history; the last runs the short forms, which are part of `make test`: {SHORT.workload.clients} clients a server and
{SHORT.workload.rate} messages a second.

Every server is a process, so is every Redis; all clients are one more. Each message carries its stream (who says it, to
whom) and its number. Servers write down what they publish before they do, the clients what comes, and when all has
come a checker that knows nothing of Crosswire compares the two (`tests/faults/checker.py`). Messages are published for
{length.before:g} s before a fault begins and {length.after:g} s after it ends.
[soak.md](soak.md) has runs of minutes: a netsplit, churn, a rolling restart.
"""


def _made_on(machine: Mapping[str, str]) -> str:
    return "## Made on\n\n| what | |\n| --- | --- |\n" + "".join(
        f"| {name} | {value} |\n" for name, value in machine.items()
    )
