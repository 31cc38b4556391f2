"""Runs the Autobahn test suite against a Crosswire server and a client, which echo: ``make conformance``.

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
import re
import shutil
import socket
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tests.conformance.processes import Child, RunError, running
from tests.conformance.python27 import SetupError, suite_version, wstest_command
from tests.conformance.report import MISSING, NON_STRICT, Case, ReportError, Side, page, read_cases, remarks, table

ROOT = Path(__file__).resolve().parents[2]
ECHO_SERVER = Path(__file__).with_name("echo_server.py")
ECHO_CLIENT = Path(__file__).with_name("echo_client.py")
PLAIN_CASES = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*")
COMPRESSION_CASES = ("12.*", "13.*")
SIDES = ("server", "client")
_AGENT = "Crosswire"
_START_TIMEOUT = 30
_RUNNING = re.compile(r"Running test case ID (\d+)\.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; return the exit code."""
    options = _parse(arguments)
    try:
        sides = [_run(name, options) for name in options.sides]
        others = [_last(name, options) for name in SIDES if name not in options.sides and options.write is not None]
    except (SetupError, RunError, ReportError) as error:
        print(error, file=sys.stderr)
        return 2
    for side in sides:
        print(f"\nThe {side.name}:\n\n" + "\n\n".join(filter(None, [table(side.cases), remarks(side.cases)])))
    if options.write is not None:
        both = sorted(sides + others, key=lambda side: SIDES.index(side.name))
        options.write.write_text(page(both, versions=_versions()), encoding="utf-8")
    return _conclude([case for side in sides for case in side.cases], strict=options.strict)


def _conclude(cases: Sequence[Case], *, strict: bool) -> int:
    bad = [case.name for case in cases if case.failed or (strict and case.behavior == NON_STRICT)]
    print(f"\n{len(cases)} cases, {len(bad)} failed{': ' if bad else ''}{', '.join(bad)}")
    return 1 if bad or not cases else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="autobahn", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="for example 6.4.*; default: all")
    parser.add_argument(
        "--only", choices=SIDES, help="attack one side; with --write, the page shows the last run of the other"
    )
    parser.add_argument("--strict", action="store_true", help="let NON-STRICT cases fail the run")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the result as a Markdown page")
    parser.add_argument("--server", type=Path, default=ECHO_SERVER, help="a script that prints 'PORT n' and echoes")
    parser.add_argument("--cache", type=Path, default=ROOT / ".conformance", help="where the suite and reports live")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds for each side (default: 3600)")
    options = parser.parse_args(arguments)
    options.sides = SIDES if options.only is None else (options.only,)
    options.cache = options.cache.resolve()
    return options


# A run against one side.


def _run(name: str, options: argparse.Namespace) -> Side:
    """Run the cases against a side and return what they showed.

    Raises:
        SetupError: the suite can't be installed.
        RunError: a side or the suite broke down.
        ReportError: the suite left no report.
    """
    command = wstest_command(options.cache)
    folder = options.cache / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    attack = _attack_server if name == "server" else _attack_client
    planned = attack(command, folder, options, time.monotonic() + options.timeout)
    (folder / "planned.json").write_text(json.dumps(planned), encoding="utf-8")
    side = _last(name, options)
    if all(case.behavior == MISSING for case in side.cases):
        raise RunError(f"no case against the {name} has a result: see {folder}")
    return side


def _last(name: str, options: argparse.Namespace) -> Side:
    """Return what the last run against a side showed."""
    folder = options.cache / name
    try:
        planned = json.loads((folder / "planned.json").read_text(encoding="utf-8"))
        written = (folder / "reports" / "index.json").stat().st_mtime
    except OSError as error:
        raise ReportError(f"no run against the {name} is left to show: {error}") from error
    date = datetime.datetime.fromtimestamp(written, tz=datetime.UTC).date().isoformat()
    return Side(name, read_cases(folder / "reports", _AGENT, planned), date)


def _attack_server(command: list[str], folder: Path, options: argparse.Namespace, deadline: float) -> list[str]:
    """Run the suite's fuzzing client against the echo server; return the cases that it planned."""
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    script = [sys.executable, str(options.server), "--compression"]
    cases = options.cases or [*PLAIN_CASES, *COMPRESSION_CASES]
    with running(script, folder / "server.log", cwd=ROOT, environment={"PYTHONPATH": path}) as server:
        spec: dict[str, object] = {"servers": [{"agent": _AGENT, "url": f"ws://127.0.0.1:{_port(server)}"}]}
        full = [*command, "--mode", "fuzzingclient", "--spec", _write_spec(folder, spec, cases)]
        progress = _Progress()
        with running(full, folder / "wstest.log", cwd=folder) as wstest:
            wstest.wait("wstest", deadline, progress.take)
        if server.code is not None:
            raise RunError(f"the server ended during the run, with {server.code}:\n{server.tail}")
    return progress.planned


def _attack_client(command: list[str], folder: Path, options: argparse.Namespace, deadline: float) -> list[str]:
    """Run the echo client against the suite's fuzzing server; return the cases that it planned."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    url = f"ws://127.0.0.1:{port}"
    # The client offers no compression, so sections 12 and 13 have nothing to test.
    spec = _write_spec(folder, {"url": url}, options.cases or PLAIN_CASES)
    full = [*command, "--mode", "fuzzingserver", "--webport", "0", "--spec", spec]
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    script = [sys.executable, str(ECHO_CLIENT), url, _AGENT]
    progress = _Progress()
    with running(full, folder / "wstest.log", cwd=folder):
        _reach(port, time.monotonic() + _START_TIMEOUT)
        with running(script, folder / "client.log", cwd=ROOT, environment={"PYTHONPATH": path}) as client:
            client.wait("the client", deadline)
    with (folder / "wstest.log").open(encoding="utf-8") as log:
        for line in log:
            progress.take(line)
    return progress.planned


def _write_spec(folder: Path, addresses: dict[str, object], cases: Sequence[str]) -> str:
    spec = {"outdir": str(folder / "reports"), "cases": list(cases), "exclude-cases": [], "exclude-agent-cases": {}}
    file = folder / "spec.json"
    file.write_text(json.dumps(spec | addresses, indent=2), encoding="utf-8")
    return str(file)


def _port(server: Child) -> int:
    """Wait for the line in which the server tells its port."""
    deadline = time.monotonic() + _START_TIMEOUT
    for line in server.lines(deadline):
        word, _, number = line.partition(" ")
        if word == "PORT" and number.strip().isdigit():
            _reach(int(number), deadline)
            return int(number)
    raise RunError(f"the server ended, or did not print its port within {_START_TIMEOUT} seconds:\n{server.tail}")


def _reach(port: int, deadline: float) -> None:
    """Wait until the port takes connections: a program may know it before it listens."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise RunError(f"nothing listens on port {port}: {error}") from error
            time.sleep(0.05)
        else:
            return


class _Progress:
    """Progress of wstest, read from its output; tells at which section it is."""

    def __init__(self) -> None:
        self.planned: list[str] = []
        self._section = ""
        self._begun = time.monotonic()

    def take(self, line: str) -> None:
        if line.startswith("Cases = "):
            self.planned = ast.literal_eval(line.removeprefix("Cases = ").strip())
        elif (match := _RUNNING.match(line)) and match[1] != self._section:
            self._section = match[1]
            print(f"{time.monotonic() - self._begun:6.1f} s  section {match[1]}", file=sys.stderr, flush=True)


# Versions.


def _versions() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = {name: importlib.metadata.version(name) for name in ("picows", "aiofastnet", "uvloop", "websockets")}
    return {
        "Crosswire": project["version"],
        **installed,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "autobahntestsuite": suite_version(),
    }


if __name__ == "__main__":
    sys.exit(main())
