"""Which lines of a page's code were executed, in this process and in those that it starts."""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.integration.docs.blocks import ROOT, Block

_SITE = Path(__file__).with_name("site")
"""On the path of every Python program that a page starts: its sitecustomize.py writes down what is executed there."""
_MAIN = "__name__ == '__main__'"
"""Where a program begins. Whether it was started as one is for the page's own function to see."""
_IN_A_FUNCTION = 0x1
"""CO_OPTIMIZED: the code of a function, not of a module or a class."""

Place = tuple[str, int]  # file and line


class ExecutedLines:
    """The lines that were executed in the files of a page.

    Args:
        directory: of the page's programs and of the list of their lines.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        self._list = directory / "executed"
        self._executed: set[Place] = set()
        self._files: dict[str, Block] = {}
        self._blocks: dict[Block, None] = {}

    @property
    def environment(self) -> dict[str, str]:
        """Variables for programs whose lines are written down."""
        return {"PYTHONPATH": str(_SITE), "PAGE_DIRECTORY": self._directory, "PAGE_EXECUTED": str(self._list)}

    def watch(self) -> None:
        """Write down lines of this process from now on."""
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def add(self, block: Block, file: Path | None = None) -> None:
        """Expect that the lines of a block are executed: in this process, or where a file that holds it is run."""
        if file is not None:
            self._files[str(file)] = block
        self._blocks[block] = None

    def missing(self) -> list[str]:
        """Return the lines that were not executed, as ``page:line code``."""
        executed = set(self._places())
        return [
            f"{block.page}:{line} {block.text.splitlines()[line - block.line].strip()}"
            for block in self._blocks
            for line in sorted(_lines(block))
            if (_file_of(block), line) not in executed
        ]

    def _places(self) -> Iterator[Place]:
        """Yield what was executed; in a file that was made of a block, the place on the page."""
        lines = self._list.read_text().splitlines() if self._list.exists() else []
        elsewhere = ((file, int(line)) for file, _, line in (each.rpartition(":") for each in lines))
        for file, line in (*self._executed, *elsewhere):
            block = self._files.get(file)
            yield (file, line) if block is None else (_file_of(block), block.line + line - 1)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        file = frame.f_code.co_filename
        if not file.endswith(".md") and not file.startswith(self._directory):
            return None
        self._executed.add((file, frame.f_lineno))
        return self._trace


def compiled(block: Block) -> CodeType:
    """Compile a block, with the lines of the page."""
    code: CodeType = compile(
        _source(block), _file_of(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    return code


def _source(block: Block) -> str:
    return "\n" * (block.line - 1) + block.text


def _file_of(block: Block) -> str:
    """Return the page's file, from which Python takes the lines of a traceback."""
    return str(ROOT / block.page)


def _lines(block: Block) -> set[int]:
    """Return the lines of a block that do something, without the first one of each function."""
    codes, lines = [compiled(block)], set[int]()
    while codes:
        code = codes.pop()
        codes += [each for each in code.co_consts if isinstance(each, CodeType)]
        first = code.co_firstlineno if code.co_flags & _IN_A_FUNCTION else block.line - 1
        lines |= {line for _, _, line in code.co_lines() if line and line > first}
    for node in ast.walk(ast.parse(_source(block))):
        if isinstance(node, ast.If) and ast.unparse(node.test) == _MAIN:
            lines -= set(range(node.body[0].lineno, (node.end_lineno or 0) + 1))
        elif isinstance(node, ast.Pass):
            lines.discard(node.lineno)
    return lines
