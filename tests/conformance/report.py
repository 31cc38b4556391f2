"""Reads the results of wstest; makes a table for the terminal and a page for the documentation."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

OK, NON_STRICT, INFORMATIONAL, UNIMPLEMENTED = "OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"
FAILED, MISSING = "FAILED", "MISSING"
_HARMLESS = frozenset({OK, NON_STRICT, INFORMATIONAL, UNIMPLEMENTED})
_HARMLESS_CLOSE = frozenset({OK, INFORMATIONAL})
SECTIONS: Mapping[int, str] = {
    1: "Framing",
    2: "Pings and pongs",
    3: "Reserved bits",
    4: "Opcodes",
    5: "Fragmentation",
    6: "UTF-8",
    7: "Closing",
    9: "Limits and performance",
    10: "Automatic fragmentation",
    12: "Compression: different payloads",
    13: "Compression: different parameters",
}
_HEADINGS = (
    "section",
    "cases",
    "OK",
    "non-strict",
    "informational",
    "unimplemented",
    "failed",
    "close OK",
    "close informational",
    "close failed",
    "seconds",
)
# Why a case that is not OK is what it is, where the suite's own words don't tell.
_WHOLE_FRAMES = (
    "Text that turns out not to be UTF-8 in the middle of a frame is refused (1007) when the frame is complete; the "
    "suite would have it refused before. Fragments are checked as each arrives."
)
_EXPLAINED: Mapping[tuple[str, str], str] = {
    ("6.4.3", NON_STRICT): _WHOLE_FRAMES,
    ("6.4.4", NON_STRICT): _WHOLE_FRAMES,
    ("7.1.6", INFORMATIONAL): (
        "Two messages, a Close and a Ping are sent at once; the protocol leaves open whether both echoes leave before "
        "the Close."
    ),
    ("7.13.1", INFORMATIONAL): "The client closes with 5000, a code that the protocol does not define.",
    ("7.13.2", INFORMATIONAL): "The client closes with 65535, a code that the protocol does not define.",
}
_LESS_STRICT = "Done otherwise, within the protocol."


class ReportError(Exception):
    """The report is not there, or can't be read."""


@dataclass(frozen=True, slots=True)
class Case:
    """Result of a case of the suite.

    Attributes:
        name: its number, for example ``6.4.3``.
        behavior: the suite's verdict on the messages, or MISSING: it was to run and left no result.
        close: the suite's verdict on how the connection ended.
        close_code: what the server closed with, if it did.
        seconds: it took.
        reason: why it is not OK; empty for a case that is.
    """

    name: str
    behavior: str
    close: str
    close_code: int | None
    seconds: float
    reason: str

    @property
    def section(self) -> int:
        """The first number of its name."""
        return int(self.name.partition(".")[0])

    @property
    def order(self) -> tuple[int, ...]:
        """Return a key that sorts 2.10 behind 2.9."""
        return tuple(int(part) for part in self.name.split("."))

    @property
    def ok(self) -> bool:
        """Whether there is nothing to tell."""
        return self.behavior == OK and self.close == OK

    @property
    def failed(self) -> bool:
        """Whether the server broke the protocol."""
        return self.behavior not in _HARMLESS or self.close not in _HARMLESS_CLOSE


@dataclass(frozen=True, slots=True)
class Side:
    """What the cases showed of the server, or of the client.

    Attributes:
        name: "server" or "client".
        cases: in order.
        date: of the run.
    """

    name: str
    cases: Sequence[Case]
    date: str


def read_cases(folder: Path, agent: str, expected: Iterable[str]) -> list[Case]:
    """Return the cases of wstest's report in ``folder``, in order, with those that left no result.

    Raises:
        ReportError: there is no such report.
    """
    try:
        results = _read_json(folder / "index.json").get(agent, {})
        found = [_case(folder, name, result) for name, result in results.items()]
    except (OSError, ValueError, KeyError) as error:
        raise ReportError(f"wstest left no report that can be read: {error!r}") from error
    lost = set(expected) - set(results)
    found += [Case(name, MISSING, MISSING, None, 0.0, "It left no result: was the server gone?") for name in lost]
    return sorted(found, key=lambda case: case.order)


def table(cases: Sequence[Case]) -> str:
    """Return the counts by section, aligned for a terminal."""
    rows = [_HEADINGS, *_rows(cases)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(
        row[0].ljust(widths[0])
        + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )


def remarks(cases: Iterable[Case]) -> str:
    """Return a line for every case that is not OK."""
    return "\n".join(
        f"{case.name}: {case.behavior}, close {case.close} ({case.close_code}): {case.reason}"
        for case in cases
        if not case.ok
    )


def page(sides: Sequence[Side], *, versions: Mapping[str, str]) -> str:
    """Return the page for the documentation, in Markdown."""
    return _PAGE.format(
        verdicts=" ".join(map(_verdict, sides)),
        versions="\n".join(_markdown_row(item) for item in versions.items()),
        sides="\n".join(map(_side, sides)),
    )


def _verdict(side: Side) -> str:
    failed = sum(case.failed for case in side.cases)
    verdict = "none failed" if not failed else f"**{failed} failed**"
    return f"Of {len(side.cases)} cases against the {side.name}, {verdict} ({side.date})."


def _side(side: Side) -> str:
    return _SIDE.format(
        name=side.name,
        about=_ABOUT[side.name],
        headings=_markdown_row(_HEADINGS) + "\n" + _markdown_row(["---"] + ["---:"] * (len(_HEADINGS) - 1)),
        rows="\n".join(_markdown_row(row) for row in _rows(side.cases)),
        remarks=_markdown_remarks([case for case in side.cases if not case.ok]),
    )


_ABOUT = {
    "server": "A `Server(compression=True)` that echoes, against the suite's fuzzing client.",
    "client": (
        "The WebSocket of `crosswire.Client`, with an echo behind it, against the suite's fuzzing server. The client\n"
        "offers no compression, so sections 12 and 13 have nothing to test. What arrives in one read with a broken\n"
        "frame is no longer answered: hence most of what is non-strict."
    ),
}

_PAGE = """\
# Conformance to the WebSocket protocol

The [Autobahn test suite](https://github.com/crossbario/autobahn-testsuite) attacks a Crosswire server and a client that
echo every message, over TCP and without TLS. {verdicts}
This page is written by the run itself.

## How to run it

```
make conformance
```

The suite runs on Python 2.7 only, which is looked for in the variable `CROSSWIRE_PYTHON27`, on the `PATH` as
`python2.7` and among pyenv's versions (`pyenv install 2.7.18`). The first run installs the suite in `.conformance/`,
which needs a C compiler. The suite's own pages, with every byte on the wire, are then in
`.conformance/server/reports/index.html` and `.conformance/client/reports/index.html`. A run takes about twenty minutes,
most of them for compression in Python 2.7. Some cases, one side, and this page again:

```
python -m tests.conformance.autobahn "6.4.*" 7.1.2
python -m tests.conformance.autobahn --only client
python -m tests.conformance.autobahn --write docs/conformance.md
```

## Versions

| what | version |
| --- | --- |
{versions}

## Result by section

The suite judges every case twice: by the messages that came back, and by how the connection was closed.

- *Non-strict*: the protocol is kept; the suite prefers another way where the protocol leaves the choice.
- *Informational*: the protocol does not say what to do; the suite notes what was done.
- *Unimplemented*: an extension that was not negotiated.
- *Failed*: the protocol is broken. A failed case fails the run, and so does one that left no result.

{sides}"""

_SIDE = """\
## The {name}

{about}

{headings}
{rows}

Cases that are not OK:

{remarks}
"""


def _rows(cases: Sequence[Case]) -> list[list[str]]:
    rows = [_row(f"{number} {SECTIONS.get(number, '')}", list(group)) for number, group in groupby(cases, _section)]
    return [*rows, _row("all", cases)]


def _section(case: Case) -> int:
    return case.section


def _row(title: str, cases: Sequence[Case]) -> list[str]:
    def behaved(*verdicts: str) -> int:
        return sum(case.behavior in verdicts for case in cases)

    closed_well = sum(case.close == OK for case in cases)
    closed_somehow = sum(case.close == INFORMATIONAL for case in cases)
    counts = (
        len(cases),
        behaved(OK),
        behaved(NON_STRICT),
        behaved(INFORMATIONAL),
        behaved(UNIMPLEMENTED),
        len(cases) - behaved(*_HARMLESS),
        closed_well,
        closed_somehow,
        len(cases) - closed_well - closed_somehow,
    )
    return [title, *map(str, counts), f"{sum(case.seconds for case in cases):.1f}"]


def _case(folder: Path, name: str, result: Mapping[str, Any]) -> Case:
    behavior, close = str(result["behavior"]), str(result["behaviorClose"])
    reason = ""
    if (behavior, close) != (OK, OK):
        reason = _reason(name, behavior, close, _read_json(folder / result["reportfile"]))
    return Case(name, behavior, close, result["remoteCloseCode"], result["duration"] / 1000, reason)


def _reason(name: str, behavior: str, close: str, details: Mapping[str, Any]) -> str:
    if explained := _EXPLAINED.get((name, behavior)):
        return explained
    parts = [details["description"]]
    if behavior != OK:
        parts += [_LESS_STRICT if behavior == NON_STRICT else details["result"], f"Expected: {details['expectation']}"]
    if close not in _HARMLESS_CLOSE and details["resultClose"] not in parts:
        parts.append(details["resultClose"])
    return " ".join(_sentence(part) for part in parts)


def _sentence(text: str) -> str:
    """Return a text of the suite, which is HTML, as one line with a full stop."""
    words = re.sub(r"</?\w+>", "", re.sub(r"<br\s*/?>", " ", text))
    line = " ".join(html.unescape(words).split())
    return line if line.endswith((".", "!", "?")) else f"{line}."


def _markdown_remarks(cases: Sequence[Case]) -> str:
    if not cases:
        return "None."
    head = [_markdown_row(("case", "messages", "close", "close code", "why")), _markdown_row(["---"] * 5)]
    rows = [
        _markdown_row((case.name, case.behavior, case.close, str(case.close_code or "none"), case.reason))
        for case in cases
    ]
    return "\n".join(head + rows)


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _read_json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no object")  # noqa: TRY004 - the content is wrong, not the call
    return content
