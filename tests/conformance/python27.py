"""Finds a Python 2.7 and makes a virtual environment for the Autobahn test suite, which needs that version."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "CROSSWIRE_PYTHON27"
REQUIREMENTS = Path(__file__).with_name("requirements-py27.txt")
_VIRTUALENV = "virtualenv==20.21.1"  # the last that makes environments for Python 2.7
_STAMP = "crosswire-stamp"
_INSTALL_TIMEOUT = 900
_PROBE = "import sys, ssl, zlib; sys.stdout.write('%d.%d' % sys.version_info[:2])"
_MISSING = f"""\
The Autobahn test suite needs Python 2.7, and none was found: not in ${VARIABLE}, not as python2.7 on the PATH, not
among pyenv's versions. Install it with pyenv:

    apt-get install build-essential libssl-dev zlib1g-dev libbz2-dev libreadline-dev libsqlite3-dev libffi-dev
    pyenv install 2.7.18

or name one that is elsewhere: {VARIABLE}=/path/to/python2.7"""


class SetupError(Exception):
    """The test suite can't be set up; the text says what to do."""


def find_python27() -> Path:
    """Return a Python 2.7 that has ssl and zlib, which pip needs.

    Raises:
        SetupError: there is none, or the environment variable names something else.
    """
    if named := os.environ.get(VARIABLE):
        if not _is_python27(named):
            raise SetupError(f"{VARIABLE}={named} is no Python 2.7 with the modules ssl and zlib")
        return Path(named)
    for candidate in _candidates():
        if _is_python27(candidate):
            return Path(candidate)
    raise SetupError(_MISSING)


def wstest_command(cache: Path) -> list[str]:
    """Return the command that runs wstest, from an environment in ``cache`` that is made when it is missing.

    Raises:
        SetupError: Python 2.7 is missing, or the packages can't be installed.
    """
    python = find_python27()
    environment = cache / "py27"
    stamp = environment / _STAMP
    wanted = _stamp(python)
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        cache.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(environment, ignore_errors=True)
        print(f"Installing the Autobahn test suite in {environment} ...", file=sys.stderr, flush=True)
        _make_environment(python, environment)
        _install(environment)
        stamp.write_text(wanted, encoding="utf-8")
    return [str(environment / "bin" / "python"), str(environment / "bin" / "wstest")]


def suite_version() -> str:
    """Return the version of the test suite, as pinned."""
    for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines():
        name, _, version = line.partition("==")
        if name == "autobahntestsuite":
            return version
    raise SetupError(f"{REQUIREMENTS.name} does not pin autobahntestsuite")


def _candidates() -> Iterator[str]:
    if on_path := shutil.which("python2.7"):
        yield on_path
    for root in _pyenv_roots():
        for python in sorted(root.glob("versions/2.7*/bin/python2.7"), reverse=True):
            yield str(python)


def _pyenv_roots() -> Iterator[Path]:
    if root := os.environ.get("PYENV_ROOT"):
        yield Path(root)
    if pyenv := shutil.which("pyenv"):
        answer = _output([pyenv, "root"])
        if answer:
            yield Path(answer)
    yield Path.home() / ".pyenv"


def _is_python27(python: str) -> bool:
    return _output([python, "-c", _PROBE]) == "2.7"


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _stamp(python: Path) -> str:
    return f"{python} {hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()}\n"


def _make_environment(python: Path, environment: Path) -> None:
    with tempfile.TemporaryDirectory(dir=environment.parent, prefix="virtualenv-") as folder:
        _run([sys.executable, "-m", "venv", folder], "make a virtual environment")
        tool = str(Path(folder) / "bin" / "python")
        _run([tool, "-m", "pip", "install", "--quiet", _VIRTUALENV], f"install {_VIRTUALENV}")
        command = [tool, "-m", "virtualenv", "--quiet", "--python", str(python), str(environment)]
        _run(command, "make the environment for Python 2.7")


def _install(environment: Path) -> None:
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    _run([*pip, "--requirement", str(REQUIREMENTS)], "install the test suite (wsaccel is compiled: is gcc there?)")


def _run(command: list[str], purpose: str) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_PYTHON_VERSION_WARNING": "1"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"can't {purpose}: {error}") from error
    if done.returncode != 0:
        raise SetupError(f"can't {purpose}:\n{(done.stdout + done.stderr)[-4000:]}")
