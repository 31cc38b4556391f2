"""Runs the code of a page, as it is written."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from crosswire.testing.redis_process import RedisProcess
from tests.integration.docs import console, node
from tests.integration.docs.blocks import SCRIPT_LANGUAGES, Block, blocks_of, module_of
from tests.integration.docs.executed_lines import ExecutedLines, compiled
from tests.integration.docs.formats import CHECKS
from tests.support.running_program import RunningProgram

_COMMAND_TIMEOUT = 90.0
"""Seconds in which the commands of a block must end."""


class Page:
    """A page whose blocks share one namespace and one directory.

    A page with no file in ``pages`` has its blocks run in order. Others have a function there that runs them section by
    section, with what a reader would have: a server that runs, a Redis, a client.

    Args:
        path: in the repository.
        directory: empty; the current one of commands and programs.
        scripts: directory for the scripts in TypeScript and JavaScript.

    Attributes:
        names: the namespace.
    """

    def __init__(self, path: str, directory: Path, scripts: Path) -> None:
        self.blocks = [block for block in blocks_of(path) if block.is_code]
        self.directory = directory
        module = ModuleType(f"page_{Path(path).stem.lower().replace('-', '_')}")
        sys.modules[module.__name__] = module
        self.names: dict[str, Any] = module.__dict__
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(node.BINARY.parent), os.environ["PATH"]]),
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
            "PIP_NO_INDEX": "1",  # what a page installs is there already
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        self._scripts = scripts
        self._left = list(self.blocks)
        self._lines = ExecutedLines(directory)
        self._lines.watch()

    def __getitem__(self, name: str) -> Any:
        return self.names[name]

    def take(self, section: str, language: str | None = None) -> Block:
        """Return the next block of a section, which is run in another way than by :meth:`run`."""
        block = next(
            (each for each in self._left if each.section == section and language in (None, each.language)), None
        )
        assert block is not None, f"no block of {section!r} is left; left are {[each.place for each in self._left]}"
        self._left.remove(block)
        return block

    async def run(self, *sections: str) -> None:
        """Run the blocks of some sections, or all that are left, in the order of the page."""
        assert set(sections) <= {each.section for each in self._left}, f"{sections} are not all there"
        for block in [each for each in self._left if not sections or each.section in sections]:
            self._left.remove(block)
            await self.run_block(block)

    async def run_block(self, block: Block, *, varying: Sequence[str] = ()) -> None:
        """Run a block: Python in the namespace; commands in a shell; TypeScript on Node.js; other formats are parsed.

        Args:
            block: of any language.
            varying: regular expressions for what differs in the output of a console block.
        """
        if block.file_name is not None and block.language not in ("sh", "console"):
            self.save(block)
        if block.language == "python":
            await self._run_python(block)
        elif block.language == "sh":
            code, output = await self.shell(block.text)
            assert code == 0, f"{block.place} ends with {code}:\n{output}"
        elif block.language == "console":
            await self._run_console(block, varying)
        elif block.language in SCRIPT_LANGUAGES:
            await self.run_script(block)
        else:
            CHECKS[block.language](block.text)

    async def shell(self, commands: str) -> tuple[int, str]:
        """Run commands in a shell; return the exit code, and what they print."""
        process = await asyncio.create_subprocess_exec(
            *("bash", "-eu", "-o", "pipefail", "-c", commands),
            cwd=self.directory,
            env=self.environment | self._lines.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(_COMMAND_TIMEOUT):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            raise AssertionError(f"not within {_COMMAND_TIMEOUT} s: {commands}") from None
        assert process.returncode is not None
        return process.returncode, output.decode()

    def save(self, block: Block, name: str | None = None) -> Path:
        """Write a block into a file of the page's directory, by the name that its first line says or this one."""
        name = name or block.file_name
        assert name is not None, f"{block.place} does not say its file's name"
        file = self.directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text)
        if block.language == "python":
            self._lines.add(block, file)
        return file

    @contextmanager
    def program(self, *command: str) -> Iterator[RunningProgram]:
        """Run a program that serves, until the context ends. `python` is the one of the tests."""
        environment = self.environment | self._lines.environment
        running = RunningProgram(command, cwd=self.directory, environment=environment)
        try:
            yield running
        finally:
            running.stop()

    @contextmanager
    def commands(self, block: Block) -> Iterator[RunningProgram]:
        """Run a block of commands, of which the last one serves, until the context ends. Signals are the last one's."""
        before, last = re.fullmatch(r"(?s)((?:.*[^\\]\n)?)(.*)", block.text.strip()).groups()  # type: ignore[union-attr]
        with self.program("bash", "-eu", "-c", f"{before}exec env {last}") as running:
            yield running

    @contextmanager
    def redis(self, *addresses: str, password: str | None = None) -> Iterator[list[RedisProcess]]:
        """Run a Redis on port 6379 of each address."""
        servers = [
            RedisProcess(unix_socket=True, password=password, config={"bind": address, "port": "6379"})
            for address in addresses
        ]
        try:
            for server in servers:
                server.start()
            yield servers
        finally:
            for server in servers:
                server.stop()

    async def run_script(self, block: Block, *, before: str = "", after: str = "") -> str:
        """Run a block of TypeScript or JavaScript on Node.js, and return what it prints. Its types are checked later.

        Args:
            block: in ``ts`` or ``js``.
            before: what a reader has above it in the file, such as imports and types.
            after: what is run after it.
        """
        file = self._scripts / f"{module_of(block.page)}_{block.line}.{'mts' if block.language == 'ts' else 'mjs'}"
        file.write_text("\n".join([before, block.text, after]))
        return await node.run(file, self.environment)

    def check(self) -> None:
        """Check that nothing is left: no block, and no line of one that was not executed."""
        assert not self._left, f"blocks that were not run: {[each.place for each in self._left]}"
        missing = self._lines.missing()
        assert not missing, "lines that were not executed:\n" + "\n".join(missing)

    async def _run_python(self, block: Block) -> None:
        self._lines.add(block)
        result = eval(compiled(block), self.names)
        if result is not None:
            await result

    async def _run_console(self, block: Block, varying: Sequence[str]) -> None:
        for command in console.commands(block.text):
            _, output = await self.shell(command.text)
            assert console.matches(command.output, output, varying), (
                f"{block.place}: {command.text}\nprints\n{output}\ninstead of\n{command.output}"
            )


@asynccontextmanager
async def started(*members: Any) -> AsyncIterator[None]:
    """Run servers and nodes while the context is entered."""
    for member in members:
        await member.start()
    try:
        yield
    finally:
        for member in reversed(members):
            await member.stop()
