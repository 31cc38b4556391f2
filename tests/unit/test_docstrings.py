"""Docstrings in ``src`` say something, and begin with a verb or a noun: see CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import crosswire

ROOT = Path(crosswire.__file__).parent
MIN_WORDS = 5
"""Words of the docstring of a class or function."""
MIN_WORDS_OF_VARIABLE = 3
"""Words of the docstring below a constant or attribute."""
RIDDLES = frozenset(
    [
        "who",
        "what",
        "it",
        "its",
        "those",
        "that",
        "they",
        "them",
        "tells",
        "and",
        "but",
        "or",
        "so",
        "as",
        "here",
        "there",
        "this",
        "these",
        "one",
        "ones",
        "somebody",
        "someone",
        "something",
        "nothing",
        "nobody",
        "how",
        "where",
        "when",
        "why",
        "which",
    ]
)
"""First words of docstrings that say neither what is done nor what a thing is."""

Described = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Documented = Described | ast.Assign | ast.AnnAssign


def docstrings(tree: ast.Module) -> Iterator[tuple[Documented, str]]:
    for node in ast.walk(tree):
        if isinstance(node, Described) and (text := ast.get_docstring(node)) is not None:
            yield node, text
        if isinstance(node, ast.Module | ast.ClassDef):
            for before, after in zip(node.body, node.body[1:], strict=False):
                if isinstance(before, ast.Assign | ast.AnnAssign) and (found := text_of(after)) is not None:
                    yield before, found


def text_of(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return statement.value.value if isinstance(statement.value.value, str) else None
    return None


def is_property(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in function.decorator_list)


def fault(node: Documented, text: str) -> str | None:
    """Return what is wrong with a docstring, or None."""
    words = text.split()
    first = re.sub(r"\W", "", words[0]) if words else ""
    if first.lower() in RIDDLES:
        return f"begins with {first!r}"
    if first == "Whether" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_property(node):
        return "begins with 'Whether', not with 'Return whether'"
    least = MIN_WORDS_OF_VARIABLE if isinstance(node, ast.Assign | ast.AnnAssign) else MIN_WORDS
    if len(words) < least and not isinstance(node, ast.Module):
        return f"has {len(words)} words"
    return None


def faults(source: str, file: str = "") -> list[str]:
    found = []
    for node, text in docstrings(ast.parse(source)):
        if (wrong := fault(node, text)) is not None:
            found.append(f"{file}:{getattr(node, 'lineno', 1)}: {text.splitlines()[0]!r} {wrong}")
    return found


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_docstrings_say_something(file: Path) -> None:
    name = file.relative_to(ROOT).as_posix()
    assert faults(file.read_text(), name) == []


@pytest.mark.parametrize(
    "source",
    [
        'def tell():\n    """Tell."""',
        'async def died(self):\n    """It died."""',
        'class Those:\n    """Those that listen to an event."""',
        'def name(self):\n    """Under which others know."""',
        '"""What the nodes say to each other."""',
        'def is_held(self):\n    """Whether the event loop is held by code."""',
        'GRACE = 3.0\n"""Seconds, perhaps."""',
    ],
)
def test_riddles_are_found(source: str) -> None:
    assert len(faults(source)) == 1


def test_what_says_something_passes() -> None:
    source = (
        '"""Timers."""\n'
        'TIMEOUT = 3.0\n"""Seconds to wait."""\n'
        'class Timer:\n    """Timer that calls a function."""\n'
        "    def cancel(self):\n        pass\n"
    )
    assert faults(source) == []
