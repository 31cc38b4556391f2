"""Which functions of a page's code were called, in this process and in those that it starts."""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.integration.docs.blocks import ROOT, Block

_SITE = Path(__file__).with_name("site")
"""On the path of every Python program that a page starts: its sitecustomize.py writes down what is called there."""

_COMPREHENSIONS_AND_LAMBDAS = "<"
"""First character of the names of code that is no function of its own."""
_IN_A_FUNCTION = 0x1
"""CO_OPTIMIZED: the code of a function, not of a module or a class."""


class CallRecord:
    """The calls of functions in the files of a page.

    Args:
        directory: of the page's programs and of the list of their calls.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        self._list = directory / "called"
        self._called: set[tuple[str, int]] = set()
        self._files: dict[str, Block] = {}
        self._blocks: dict[Block, None] = {}

    @property
    def environment(self) -> dict[str, str]:
        """Variables for programs whose calls are written down."""
        return {"PYTHONPATH": str(_SITE), "PAGE_DIRECTORY": str(self._list.parent)}

    def watch(self) -> None:
        """Write down calls in this process from now on."""
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def add(self, block: Block, file: Path | None = None) -> None:
        """Expect that the functions of a block are called: in this process, or where a file that holds it is run."""
        if file is not None:
            self._files[str(file)] = block
        self._blocks[block] = None

    def missing(self) -> list[str]:
        """Return the functions that nobody called, as ``page:line name``."""
        called = set(self._places())
        return [
            f"{block.page}:{line} {name}"
            for block in self._blocks
            for name, line in _functions(block)
            if (_file_of(block), line) not in called
        ]

    def _places(self) -> Iterator[tuple[str, int]]:
        """Yield file and line of what was called; where that was a file made of a block, those of the page."""
        lines = self._list.read_text().splitlines() if self._list.exists() else []
        elsewhere = ((file, int(line)) for file, _, line in (each.rpartition(":") for each in lines))
        for file, line in (*self._called, *elsewhere):
            block = self._files.get(file)
            yield (file, line) if block is None else (_file_of(block), block.line + line - 1)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if code.co_filename.endswith(".md") or code.co_filename.startswith(self._directory):
            self._called.add((code.co_filename, code.co_firstlineno))


def compiled(block: Block) -> CodeType:
    """Compile a block, with the lines of the page."""
    source = "\n" * (block.line - 1) + block.text
    code: CodeType = compile(source, _file_of(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return code


def _file_of(block: Block) -> str:
    """Return the page's file, from which Python takes the lines of a traceback."""
    return str(ROOT / block.page)


def _functions(block: Block) -> Iterator[tuple[str, int]]:
    """Yield name and line of each function of a block."""
    codes = [compiled(block)]
    while codes:
        nested = [each for each in codes.pop().co_consts if isinstance(each, CodeType)]
        codes += nested
        for code in nested:
            if code.co_flags & _IN_A_FUNCTION and not code.co_name.startswith(_COMPREHENSIONS_AND_LAMBDAS):
                yield code.co_name, code.co_firstlineno
