"""The tables of a client's phases in the documentation, made from ``spec/phases.json``. ``make tables`` writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- phases: from spec/phases.json, by `make tables` -->", "<!-- /phases -->"
OPTION = re.compile(r"`(\w+)`")


def python_name(name: str) -> str:
    """Return the Python name of a hook or option: ``on_open`` for ``onOpen``."""
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


PAGES: dict[str, Callable[[str], str]] = {"docs/guide.md": python_name, "clients/js/README.md": lambda name: name}
"""The pages with tables, and how each writes a name that is TypeScript's in the specification."""


def rendered(name: Callable[[str], str]) -> str:
    """Return both tables: the phases, and the transitions between them."""
    spec: dict[str, Any] = json.loads((ROOT / "spec" / "phases.json").read_text(encoding="utf-8"))

    def named(text: str) -> str:
        return OPTION.sub(lambda found: f"`{name(found[1])}`", text)

    phases = [[f"`{each['name']}`", named(each["means"])] for each in spec["phases"]]
    transitions = [
        [
            ", ".join(f"`{before}`" for before in each["from"]),
            f"`{each['to']}`",
            named(each["when"]),
            ", ".join(f"`{name(hook)}`" for hook in each["hooks"]),
        ]
        for each in spec["transitions"]
    ]
    return f"{_table(['phase', ''], phases)}\n\n{_table(['from', 'to', 'when', 'hooks'], transitions)}"


def page_with_tables(page: str) -> str:
    """Return the text of a page with the tables as they should be."""
    text = (ROOT / page).read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    assert after, f"{page} has no place for the tables: {BEGIN} ... {END}"
    return f"{before}{BEGIN}\n\n{rendered(PAGES[page])}\n\n{END}{after}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table with columns of even width, as prettier writes it."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(cells: list[str], fill: str = " ") -> str:
        return f"| {' | '.join(cell.ljust(width, fill) for cell, width in zip(cells, widths, strict=True))} |"

    return "\n".join([line(head), line(["-" * width for width in widths]), *map(line, rows)])


if __name__ == "__main__":
    for path in PAGES:
        (ROOT / path).write_text(page_with_tables(path), encoding="utf-8")
