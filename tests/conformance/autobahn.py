"""Runs the Autobahn test suite's fuzzing client against a Crosswire server that echoes: ``make conformance``.

From the repository's root: ``python -m tests.conformance.autobahn [--write docs/conformance.md] [CASE ...]``.
Exits with 1 when a case failed, 2 when the suite could not run.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import importlib.metadata
import json
import os
import platform
import queue
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.conformance.python27 import SetupError, suite_version, wstest_command
from tests.conformance.report import MISSING, NON_STRICT, Case, ReportError, page, read_cases, remarks, table

ROOT = Path(__file__).resolve().parents[2]
ECHO_SERVER = Path(__file__).with_name("echo_server.py")
DEFAULT_CASES = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*")
COMPRESSION_CASES = ("12.*", "13.*")
_AGENT = "Crosswire"
_START_TIMEOUT = 30
_RUNNING = re.compile(r"Running test case ID (\d+)\.")


class RunError(Exception):
    """The server or wstest did not run to its end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; return the exit code."""
    options = _parse(arguments)
    try:
        cases = run(options)
    except (SetupError, RunError, ReportError) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n\n".join(filter(None, [table(cases), remarks(cases)])))
    if options.write is not None:
        today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        options.write.write_text(page(cases, date=today, versions=_versions()), encoding="utf-8")
    bad = [case.name for case in cases if case.failed or (options.strict and case.behavior == NON_STRICT)]
    print(f"\n{len(cases)} cases, {len(bad)} failed{': ' if bad else ''}{', '.join(bad)}")
    return 1 if bad or not cases else 0


def run(options: argparse.Namespace) -> list[Case]:
    """Run the cases and return what they showed.

    Raises:
        SetupError: the suite can't be installed.
        RunError: the server or the suite broke down.
        ReportError: the suite left no report.
    """
    command = wstest_command(options.cache)
    reports = options.cache / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    with _server(options) as port:
        spec = options.cache / "fuzzingclient.json"
        spec.write_text(json.dumps(_spec(port, options.cases, reports), indent=2), encoding="utf-8")
        planned = _wstest([*command, "--mode", "fuzzingclient", "--spec", str(spec)], options)
    cases = read_cases(reports, _AGENT, planned)
    if all(case.behavior == MISSING for case in cases):
        raise RunError(f"no case has a result; wstest said:\n{_tail(options.cache / 'wstest.log')}")
    return cases


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="autobahn", description=__doc__)
    parser.add_argument(
        "cases", nargs="*", metavar="CASE", help=f"for example 6.4.*; default: {' '.join(DEFAULT_CASES)}"
    )
    parser.add_argument(
        "--compression", action="store_true", help="negotiate permessage-deflate; runs 12.* and 13.* too"
    )
    parser.add_argument("--strict", action="store_true", help="let NON-STRICT cases fail the run")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the result as a Markdown page")
    parser.add_argument("--server", type=Path, default=ECHO_SERVER, help="a script that prints 'PORT n' and echoes")
    parser.add_argument("--cache", type=Path, default=ROOT / ".conformance", help="where the suite and reports live")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for the whole run (default: 1800)")
    options = parser.parse_args(arguments)
    if not options.cases:
        options.cases = [*DEFAULT_CASES, *(COMPRESSION_CASES if options.compression else ())]
    options.cache = options.cache.resolve()
    return options


def _spec(port: int, cases: Sequence[str], reports: Path) -> dict[str, object]:
    return {
        "outdir": str(reports),
        "servers": [{"agent": _AGENT, "url": f"ws://127.0.0.1:{port}"}],
        "cases": list(cases),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }


# The server.


@contextmanager
def _server(options: argparse.Namespace) -> Iterator[int]:
    """Run the echo server; yield its port."""
    command = [sys.executable, str(options.server)] + (["--compression"] if options.compression else [])
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    log = options.cache / "server.log"
    with log.open("w", encoding="utf-8") as errors:
        environment = {**os.environ, "PYTHONPATH": path}
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            yield _port(child, log)
            if child.poll() is not None:
                raise RunError(f"the server ended during the run, with {child.returncode}:\n{_tail(log)}")
        finally:
            _end(child)


def _port(child: subprocess.Popen[str], log: Path) -> int:
    """Wait for the line in which the server tells its port."""
    lines = _lines(child)
    deadline = time.monotonic() + _START_TIMEOUT
    while (line := _next(lines, deadline)) is not None:
        word, _, number = line.partition(" ")
        if word == "PORT" and number.strip().isdigit():
            _reach(int(number), deadline)
            return int(number)
    raise RunError(f"the server ended, or did not print its port within {_START_TIMEOUT} seconds:\n{_tail(log)}")


def _reach(port: int, deadline: float) -> None:
    """Wait until the port takes connections: a server may know it before it listens."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise RunError(f"nothing listens on the port that the server printed, {port}: {error}") from error
            time.sleep(0.05)
        else:
            return


# The test suite.


def _wstest(command: list[str], options: argparse.Namespace) -> list[str]:
    """Run wstest to its end; return the cases it planned."""
    log = options.cache / "wstest.log"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(
        command, cwd=options.cache, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        deadline = time.monotonic() + options.timeout
        planned = _follow(child, log, deadline)
        code = child.wait(timeout=max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise RunError(f"wstest was not done within {options.timeout:.0f} seconds; it said:\n{_tail(log)}") from None
    finally:
        _end(child)
    if code != 0:
        raise RunError(f"wstest ended with {code}:\n{_tail(log)}")
    return planned


def _follow(child: subprocess.Popen[str], log: Path, deadline: float) -> list[str]:
    """Log what wstest says until it ends, tell which section it is at, and return the cases it planned."""
    lines, planned, section, begun = _lines(child), [], "", time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        while (line := _next(lines, deadline)) is not None:
            file.write(line)
            file.flush()
            if line.startswith("Cases = "):
                planned = ast.literal_eval(line.removeprefix("Cases = ").strip())
            elif (match := _RUNNING.match(line)) and match[1] != section:
                section = match[1]
                print(f"{time.monotonic() - begun:6.1f} s  section {section}", file=sys.stderr, flush=True)
    return planned


# Children.


def _lines(child: subprocess.Popen[str]) -> queue.SimpleQueue[str | None]:
    """Return a queue that gets what a child prints, line by line, and None at the end."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read(stream: IO[str]) -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    assert child.stdout is not None
    threading.Thread(target=read, args=(child.stdout,), daemon=True).start()
    return lines


def _next(lines: queue.SimpleQueue[str | None], deadline: float) -> str | None:
    """Return the next line; None when there are no more, or the deadline is over."""
    try:
        return lines.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        return None


def _end(child: subprocess.Popen[str]) -> None:
    child.terminate()
    try:
        child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-3000:]


# Versions.


def _versions() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = {name: importlib.metadata.version(name) for name in ("picows", "aiofastnet", "uvloop")}
    return {
        "Crosswire": project["version"],
        **installed,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "autobahntestsuite": suite_version(),
    }


if __name__ == "__main__":
    sys.exit(main())
