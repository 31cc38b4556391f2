"""Where the peers' programs and packages are, once bench/peers/install.py has installed them."""

from __future__ import annotations

import json
import platform
import ssl
import subprocess
import sys
import zlib
from importlib.metadata import distributions
from pathlib import Path

from bench.native import BUILD, NotInstalled
from crosswire.cluster.redis.embedded.database import find_server

INSTALLED = BUILD / "peers"
PACKAGES = INSTALLED / "node" / "node_modules"
ORIGINAL = INSTALLED / "original" / "node_modules"
"""Directory of the original's package, which is installed apart: a registry may lack it."""
ORIGINAL_NAME = "websocket-cross-server-adapter"
ENVIRONMENT = INSTALLED / "venv"
ARCHITECTURES = {"x86_64": "x64", "aarch64": "aarch64"}
"""Names that npm packages have for machines."""
NPM_PACKAGES = (
    "@oven/bun-linux-x64",
    "@oven/bun-linux-aarch64",
    "ws",
    "socket.io",
    "@socket.io/redis-adapter",
)
PYTHON_PACKAGES = ("python-socketio", "channels", "channels_redis", "django", "starlette", "uvicorn", "websockets")
"""Packages whose versions are part of a result, beside those that Crosswire itself uses."""


def node() -> str:
    """Return the Node.js that the development tools bring along."""
    return _existing(Path(sys.prefix) / "node" / "bin" / "node")


def npm() -> list[str]:
    """Return the command of the npm that comes with it."""
    return [node(), _existing(Path(sys.prefix) / "node" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def bun() -> str:
    """Return the program of Bun for this machine."""
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    return _existing(PACKAGES / "@oven" / f"bun-linux-{architecture}" / "bin" / "bun")


def npm_package(name: str) -> str:
    """Return the directory of a peer's npm package."""
    return _existing((ORIGINAL if name == ORIGINAL_NAME else PACKAGES) / name)


def python() -> str:
    """Return the Python that has the peers' packages."""
    return _existing(ENVIRONMENT / "bin" / "python")


def node_environment() -> dict[str, str]:
    """Return the environment in which Node.js finds the peers' packages; it and Bun run as in production."""
    return {"NODE_ENV": "production", "NODE_PATH": f"{PACKAGES}:{ORIGINAL}"}


def _existing(path: Path) -> str:
    if not path.exists():
        raise NotInstalled(f"{path.name} is not installed")
    return str(path)


def versions() -> dict[str, str]:
    """Return the versions of the peers' packages that are installed, and of what they run on."""
    packages = [(name, PACKAGES / name / "package.json") for name in NPM_PACKAGES]
    python_packages = distributions(path=[str(path) for path in ENVIRONMENT.glob("lib/python*/site-packages")])
    return {
        **{name: json.loads(path.read_text())["version"] for name, path in packages if path.exists()},
        **({ORIGINAL_NAME: version} if (version := original_version()) else {}),
        **{each.name: each.version for each in python_packages if each.name.lower() in PYTHON_PACKAGES},
        "Node.js": _first_line(node(), "--version"),
        "Redis": _first_line(str(find_server()), "--version"),
        "C compiler": _first_line("cc", "--version"),
        "OpenSSL": ssl.OPENSSL_VERSION,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
    }


def original_version(packages: Path = ORIGINAL) -> str:
    """Return the version of the original, and of which folder's commit it is if it is from one; "" without it."""
    manifest = packages / ORIGINAL_NAME / "package.json"
    if not manifest.exists():
        return ""
    package = json.loads(manifest.read_text())
    wanted: str = json.loads((packages.parent / "package.json").read_text())["dependencies"][ORIGINAL_NAME]
    if not wanted.startswith("file:"):
        return str(package["version"])
    commit = f" of commit {package['gitHead'][:12]}" if "gitHead" in package else ""
    return f"{package['version']}, from a folder{commit}"


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]
