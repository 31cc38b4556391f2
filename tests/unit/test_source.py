"""The source contains nothing that runs what it reads, starts a shell, or reads without a limit."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "crosswire"
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "commands"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
SHELL_CALLS = {"system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell"}
UNSAFE_LOADERS = {"unsafe_load", "full_load", "load_all", "unsafe_load_all"}
UNBOUNDED_METHODS = {"recv", "recvfrom", "recv_bytes", "recvmsg", "read", "readlines", "readline", "readuntil"}
"""Methods that read as much as comes, unless they are given a number of bytes."""
TRUSTED_READS = {
    # What they read was written by another process of this server, or by the user of the command at its terminal.
    ("cli/cluster_commands.py", "read"),
    ("cli/workers/link.py", "read"),
    ("cli/workers/link.py", "readline"),
    ("cli/workers/process.py", "readline"),
    # Reads the messages that have come, from a method of its own.
    ("emitter/question.py", "read"),
}


def _violations(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, f"import {each.name}") for each in node.names if _is_forbidden(each.name))
        elif isinstance(node, ast.ImportFrom) and node.module is not None and _is_forbidden(node.module):
            yield node.lineno, f"import {node.module}"
        elif isinstance(node, ast.Call):
            yield from ((node.lineno, what) for what in _violations_of_call(node))


def _is_forbidden(module: str) -> bool:
    return module.partition(".")[0] in FORBIDDEN_MODULES


def _violations_of_call(call: ast.Call) -> Iterator[str]:
    function = call.func
    if isinstance(function, ast.Name) and function.id in FORBIDDEN_CALLS:
        yield f"{function.id}()"
    if isinstance(function, ast.Attribute):
        name = function.attr
        if name in SHELL_CALLS or name in UNSAFE_LOADERS:
            yield f".{name}()"
        if name in UNBOUNDED_METHODS and not _has_size(call):
            yield f".{name}() without a size"
    yield from (
        "shell=True"
        for each in call.keywords
        if each.arg == "shell" and not (isinstance(each.value, ast.Constant) and each.value.value is False)
    )


def _has_size(call: ast.Call) -> bool:
    if not call.args:
        return False
    size = call.args[-1]
    is_negative = isinstance(size, ast.UnaryOp) and isinstance(size.op, ast.USub)
    return not is_negative and not (isinstance(size, ast.Constant) and size.value in (None, -1))


def _found() -> set[tuple[str, int, str]]:
    return {
        (path.relative_to(SOURCE).as_posix(), line, what)
        for path in SOURCE.rglob("*.py")
        for line, what in _violations(ast.parse(path.read_text()))
    }


def test_source_runs_nothing_that_it_reads_and_reads_no_more_than_it_said() -> None:
    trusted = {(file, f".{method}() without a size") for file, method in TRUSTED_READS}
    assert [each for each in sorted(_found()) if (each[0], each[2]) not in trusted] == []


def test_every_trusted_read_is_still_there() -> None:
    found = {(file, what) for file, _, what in _found()}
    assert {(file, f".{method}() without a size") for file, method in TRUSTED_READS} <= found


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from marshal import loads",
        "import os, shelve",
        "eval(text)",
        "exec(code)",
        "__import__(name)",
        "subprocess.run(line, shell=True)",
        "subprocess.run(line, shell=flag)",
        "os.system(line)",
        "await asyncio.create_subprocess_shell(line)",
        "yaml.unsafe_load(text)",
        "sock.recv()",
        "reader.read()",
        "reader.read(-1)",
        "reader.read(None)",
        "await reader.readline()",
    ],
)
def test_the_check_finds(code: str) -> None:
    assert list(_violations(ast.parse(code)))


@pytest.mark.parametrize("code", ["sock.recv(4096)", "reader.read(size)", "subprocess.run(command, shell=False)"])
def test_the_check_lets_pass(code: str) -> None:
    assert not list(_violations(ast.parse(code)))
