"""The outcomes as text, and as docs/soak.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.soak.outcome import Outcome


def lines(outcome: Outcome) -> str:
    """Return the figures of an outcome, for a terminal."""
    shown = [
        f"  {'' if figure.held else 'FAILED: '}{figure.what}: {figure.measured}"
        + (f" ({figure.limit})" if figure.limit else "")
        for figure in outcome.figures
    ]
    return "\n".join(shown)


def page(outcomes: Sequence[Outcome], machine: Mapping[str, str]) -> str:
    """Return the text of the page."""
    failed = sum(not figure.held for outcome in outcomes for figure in outcome.figures)
    count = sum(bool(figure.limit) for outcome in outcomes for figure in outcome.figures)
    verdict = "all of them held" if not failed else f"{failed} of them did not hold"
    minutes = sum(outcome.seconds for outcome in outcomes) / 60
    parts = [_INTRODUCTION.format(count=count, verdict=verdict, minutes=f"{minutes:.0f}")]
    parts += map(_section, outcomes)
    parts.append("## Made on\n\n| what | |\n| --- | --- |\n" + "".join(f"| {a} | {b} |\n" for a, b in machine.items()))
    return "\n".join(parts)


def _section(outcome: Outcome) -> str:
    rows = "\n".join(
        f"| {figure.what} | {figure.measured} | {figure.limit} | {_verdict(figure.limit, held=figure.held)} |"
        for figure in outcome.figures
    )
    title = outcome.title[0].upper() + outcome.title[1:]
    load = f"{outcome.load:.1f}"
    return f"""\
## {outcome.name}

{title}. On {outcome.date}, in {outcome.seconds:.0f} s; load average of the machine before, of other work: {load}.

| what | measured | must be | |
| --- | --- | --- | --- |
{rows}
"""


def _verdict(limit: str, *, held: bool) -> str:
    if not limit:
        return ""
    return "held" if held else "**failed**"


_INTRODUCTION = """\
# Long runs

What a server and a cluster hold over many connections, faults and attacks, on real processes. This page is written by
the run itself; it took {minutes} minutes, and of {count} limits, {verdict}.

```
make soak
python -m tests.soak --only churn
python -m tests.soak --only cycles --cycles 1000000 --cycle-seconds 3600
python -m pytest tests/soak
```

The first runs everything and writes this page; with `--only` and `--write`, the others are shown as they were. The last
runs short forms of cycles, churn, netsplit and clock, and is part of `make test`. Latencies and rates are those of the
machine below: what else runs on it shows in them, most of all in a p99, while counts and memory do not depend on it.
With a load average above the number of cores, other work has the processor for most of the time. A scenario is a module
of `tests/soak`.
"""
