"""Installs what the peers need into bench/build/peers: `python -m bench.peers.install`.

Versions are pinned: package-lock.json beside this file, and requirements/peers.txt. What is up to date is left alone.
The original may be lacking in a registry: then this is told, and the comparison goes on without it. With
`--original FOLDER` its package is installed from a folder, for example a checkout of its repository. Where its
package.json has a `gitHead`, the page of the comparison names that commit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.native import HERE, ROOT, BenchError
from bench.peers.installed import ENVIRONMENT, INSTALLED, ORIGINAL, ORIGINAL_NAME, PACKAGES, node, npm

REQUIREMENTS = ROOT / "requirements" / "peers.txt"
MANIFESTS = [HERE / "peers" / "package.json", HERE / "peers" / "package-lock.json"]
ORIGINAL_VERSION = "1.0.7"
NEEDED_BY_ORIGINAL = ("ioredis@5.9.2", "notepack.io@3.0.1", "ws@8.23.0")
"""Versions of the original and what it needs: no lock file has them, for a registry may lack the original."""
INSTALL_TIMEOUT = 600.0
"""Seconds in which an installation has to end."""


def main() -> int:
    """Install everything; return 1 if something that must be there is not."""
    folder: Path | None = _arguments().original
    try:
        _install_for_node()
        _install_for_python()
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        install_original(folder)
    except BenchError as error:
        print(f"The original is left out: {error}", file=sys.stderr)
        return int(folder is not None)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers.install", description=__doc__)
    parser.add_argument("--original", type=Path, metavar="FOLDER", help="install the original from its package there")
    return parser.parse_args()


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


def install_original(
    folder: Path | None = None, target: Path = ORIGINAL, needed: Sequence[str] = NEEDED_BY_ORIGINAL
) -> None:
    """Install the original and what it needs.

    Args:
        folder: where its package is; it replaces what is installed, for it may have changed. None for the registry.
        target: directory `node_modules` that gets the packages.
        needed: packages that it needs, with their versions.

    Raises:
        BenchError: the folder has another package or none, or npm failed.
    """
    if folder is None and (target / ORIGINAL_NAME).exists():
        return
    package = f"{ORIGINAL_NAME}@{ORIGINAL_VERSION}" if folder is None else _package_in(folder)
    shutil.rmtree(target.parent, ignore_errors=True)
    target.parent.mkdir(parents=True)
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--install-links"]  # a copy: a link may change later
    _run([*npm(), "install", "--prefix", str(target.parent), *options, package, *needed], target.parent)


def _package_in(folder: Path) -> str:
    """Return the absolute path of a folder, in which the original's package has to be."""
    manifest = folder / "package.json"
    if not manifest.exists() or json.loads(manifest.read_text()).get("name") != ORIGINAL_NAME:
        raise BenchError(f"{folder} is not a folder with the package {ORIGINAL_NAME}")
    return str(folder.resolve())


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
