"""Audit what Crosswire is made of: known vulnerabilities, licences, and a list of its parts (SBOM) beside the wheel.

The wheel is built and installed with all extras in an environment of its own, and the tools in another: so what is
audited is what a user installs today, and nothing else. The development environment is audited by its lock file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "dev.txt"
"""Lock file of the development environment."""
TOOLS_LOCK = ROOT / "requirements" / "audit.txt"
"""Lock file of the tools that this audit uses."""
DIST = ROOT / "dist"
"""Folder of the wheel and its SBOM."""
JS = ROOT / "clients" / "js"
NPM_CLI = ROOT / ".venv" / "node" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
NODE = ROOT / ".venv" / "node" / "bin" / "node"
PERMITTED_LICENCES = (
    "0BSD",
    "Apache",
    "BSD",
    "ISC",
    "MIT",
    "Mozilla Public License 2.0",
    "MPL-2.0",
    "PSF",
    "Python Software Foundation",
    "Unlicense",
)
"""Beginnings of the names of licences that let anybody use Crosswire under its own."""

LICENCES_IN_FILES = {"aiofastnet": "MIT", "picows": "MIT"}
"""Licences of packages that have the text of one, and do not name it."""


class Finding(NamedTuple):
    """The outcome of one part of the audit."""

    title: str
    lines: list[str]
    failed: bool = False


def vulnerabilities(report: dict[str, Any]) -> Finding:
    """Read the report of pip-audit."""
    packages = report["dependencies"]
    skipped = [each for each in packages if "skip_reason" in each]
    found = [
        f"{each['name']} {each['version']}: {problem['id']}, mended in {', '.join(problem['fix_versions']) or 'none'}"
        for each in packages
        for problem in each.get("vulns", ())
    ]
    return Finding("pip-audit", [*found, _extent(len(packages) - len(skipped), len(packages), "packages")], bool(found))


def _extent(asked: int, total: int, what: str) -> str:
    if asked == 0:
        return f"NOT AUDITED: the index answers no question about vulnerabilities; {total} {what} were not looked up"
    missing = f"; NOT AUDITED: {total - asked} that the index does not know" if asked < total else ""
    return f"{asked} of {total} {what} looked up{missing}"


def npm_vulnerabilities(report: dict[str, Any]) -> Finding:
    """Read the report of ``npm audit``."""
    if "metadata" not in report:
        return Finding("npm audit", ["NOT AUDITED: the index answers no question about vulnerabilities"])
    found = [f"{name}: {each['severity']}" for name, each in sorted(report.get("vulnerabilities", {}).items())]
    total = report["metadata"]["dependencies"]["total"]
    return Finding("npm audit", [*found, f"{total} packages looked up"], bool(found))


def licences(packages: Iterable[dict[str, str]]) -> Finding:
    """Check the licences that pip-licenses lists."""
    by_licence: dict[str, list[str]] = {}
    for each in packages:
        licence = each["License"]
        if licence == "UNKNOWN":
            licence = LICENCES_IN_FILES.get(each["Name"], licence)
        by_licence.setdefault(licence, []).append(each["Name"])
    refused = [licence for licence in by_licence if not is_permitted(licence)]
    lines = [
        f"{'NOT PERMITTED: ' if licence in refused else ''}{licence}: {', '.join(sorted(names))}"
        for licence, names in sorted(by_licence.items())
    ]
    return Finding("licences", lines, bool(refused))


def is_permitted(licence: str) -> bool:
    """Return whether one of a package's alternative licences is permitted, with all its parts."""
    alternatives = licence.replace(";", " AND ").split(" OR ")
    return any(all(_names_permitted(part) for part in each.split(" AND ")) for each in alternatives)


def _names_permitted(part: str) -> bool:
    return part.strip(" ()").startswith(PERMITTED_LICENCES)


class Environment:
    """A virtual environment in a temporary folder.

    Args:
        path: of its folder, which is made.
    """

    def __init__(self, path: Path) -> None:
        venv.create(path, with_pip=True)
        self.bin = path / "bin"
        self.python = str(self.bin / "python")

    def pip(self, *arguments: str) -> None:
        """Run pip in it."""
        quiet = ("-qq", "--disable-pip-version-check", "--no-input")
        subprocess.run((self.python, "-m", "pip", *quiet, *arguments), check=True)

    def tool(self, name: str, *arguments: str) -> str:
        """Run one of its programs, and return what it prints, whatever its exit code."""
        command = (str(self.bin / name), *arguments)
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if not done.stdout.strip():
            raise SystemExit(f"{name} failed:\n{done.stderr}")
        return done.stdout


def build_wheel(user: Environment) -> Path:
    """Build the wheel into ``dist/``, install it with all extras, and return its path."""
    user.pip("wheel", "--no-deps", "--wheel-dir", str(DIST), str(ROOT))
    wheel = max(DIST.glob("crosswire-*.whl"), key=lambda path: path.stat().st_mtime)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    user.pip("install", f"crosswire[{','.join(extras)}] @ {wheel.as_uri()}")
    return wheel


def write_sbom(tools: Environment, user: Environment, wheel: Path) -> Finding:
    """Write the SBOM beside the wheel, in the format of CycloneDX."""
    version = "-".join(wheel.name.split("-")[:2])
    target = DIST / f"{version}.cdx.json"
    options = ("--mc-type", "library", "--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible")
    sbom = json.loads(tools.tool("cyclonedx-py", "environment", *options, user.python))
    target.write_text(json.dumps(sbom, indent=2) + "\n")
    return Finding("SBOM", [f"{len(sbom['components'])} components, in {target.relative_to(ROOT)}"])


def _audit(tools: Environment, user: Environment) -> Iterable[Finding]:
    wheel = build_wheel(user)
    yield write_sbom(tools, user, wheel)
    yield licences(json.loads(tools.tool("pip-licenses", "--python", user.python, "--format", "json")))
    options = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json")
    yield vulnerabilities(json.loads(tools.tool("pip-audit", "-r", str(LOCK), *options)))
    command = (str(NODE), str(NPM_CLI), "audit", "--json", "--loglevel", "silent")
    npm = subprocess.run(command, check=False, cwd=JS, stdout=subprocess.PIPE, text=True)
    yield npm_vulnerabilities(json.loads(npm.stdout))


def main(write: Callable[[str], object] = print) -> int:
    """Run the audit, and return 1 if it has found something."""
    with tempfile.TemporaryDirectory() as folder:
        tools = Environment(Path(folder) / "tools")
        tools.pip("install", "--no-deps", "--require-hashes", "-r", str(TOOLS_LOCK))
        failed = False
        for finding in _audit(tools, Environment(Path(folder) / "user")):
            write(f"== {finding.title}{': FAILED' if finding.failed else ''}")
            for line in finding.lines:
                write(f"  {line}")
            failed = failed or finding.failed
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
