"""Installs what the peers need into bench/build/peers: `python -m bench.peers.install`.

Versions are pinned: package-lock.json beside this file, and requirements/peers.txt. What is up to date is left alone.
A package that the registry does not have is reported, and the comparison goes on without it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.native import HERE, ROOT, BenchError
from bench.peers.installed import ENVIRONMENT, INSTALLED, ORIGINAL, PACKAGES, node, npm

REQUIREMENTS = ROOT / "requirements" / "peers.txt"
MANIFESTS = [HERE / "peers" / "package.json", HERE / "peers" / "package-lock.json"]
ORIGINAL_PACKAGES = ["websocket-cross-server-adapter@1.0.7", "ioredis@5.9.2", "notepack.io@3.0.1", "ws@8.23.0"]
"""The original and what it needs: in no lock file, which could not be made where the registry lacks it."""
INSTALL_TIMEOUT = 600.0
"""Seconds in which an installation has to end."""


def main() -> int:
    """Install everything; return 1 if something that must be there is not."""
    try:
        _install_for_node()
        _install_for_python()
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        _install_original()
    except BenchError as error:
        print(f"The original is left out: {error}", file=sys.stderr)
    return 0


def _install_for_node() -> None:
    """Install the npm packages that the lock file names."""
    target = PACKAGES.parent
    if _is_fresh(target, MANIFESTS):
        return
    target.mkdir(parents=True, exist_ok=True)
    for manifest in MANIFESTS:
        shutil.copy(manifest, target)
    _run([*npm(), "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], target)
    _stamp(target, MANIFESTS)


def _install_for_python() -> None:
    """Install the Python packages that the requirements name, into an environment of their own."""
    if _is_fresh(ENVIRONMENT, [REQUIREMENTS]):
        return
    _run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], ROOT)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input"]
    _run([*pip, "install", "--no-deps", "--require-hashes", "--requirement", str(REQUIREMENTS)], ROOT)
    _stamp(ENVIRONMENT, [REQUIREMENTS])


def _install_original() -> None:
    """Install the original and what it needs."""
    target = ORIGINAL.parent
    if (ORIGINAL / ORIGINAL_PACKAGES[0].partition("@")[0]).exists():
        return
    target.mkdir(parents=True, exist_ok=True)
    _run(
        [*npm(), "install", "--prefix", str(target), "--no-audit", "--no-fund", "--ignore-scripts", *ORIGINAL_PACKAGES],
        target,
    )


def _run(command: Sequence[str], directory: Path) -> None:
    """Run a command to its end, and raise BenchError with what it said if it fails."""
    environment = {**os.environ, "PATH": f"{Path(node()).parent}:{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False
    )
    if done.returncode:
        raise BenchError(f"{' '.join(command)} failed:\n{done.stderr.strip()[-2000:]}")


def _is_fresh(target: Path, sources: Sequence[Path]) -> bool:
    stamp = target / ".stamp"
    return stamp.exists() and stamp.read_text() == _digest(sources)


def _stamp(target: Path, sources: Sequence[Path]) -> None:
    (target / ".stamp").write_text(_digest(sources))


def _digest(sources: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


if __name__ == "__main__":
    INSTALLED.mkdir(parents=True, exist_ok=True)
    sys.exit(main())
