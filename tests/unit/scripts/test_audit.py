from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from scripts import audit

ROOT = Path(__file__).parents[3]


def test_a_package_with_a_known_vulnerability_fails_the_audit() -> None:
    problem = {"id": "CVE-2026-1", "fix_versions": ["2.0"]}
    packages = [{"name": "good", "version": "1", "vulns": []}, {"name": "bad", "version": "1", "vulns": [problem]}]
    finding = audit.vulnerabilities({"dependencies": packages})
    assert finding.failed
    assert finding.lines == ["bad 1: CVE-2026-1, mended in 2.0", "2 of 2 packages looked up"]


def test_packages_that_were_not_looked_up_are_told() -> None:
    known, unknown = {"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}
    assert audit.vulnerabilities({"dependencies": [known, unknown]}).lines == [
        "1 of 2 packages looked up; NOT AUDITED: 1 that the index does not know"
    ]
    (line,) = audit.vulnerabilities({"dependencies": [unknown]}).lines
    assert line.startswith("NOT AUDITED")


def test_npm_finds_and_says_when_it_could_not_look() -> None:
    report = {"vulnerabilities": {"left-pad": {"severity": "high"}}, "metadata": {"dependencies": {"total": 3}}}
    assert audit.npm_vulnerabilities(report) == ("npm audit", ["left-pad: high", "3 packages looked up"], True)
    assert audit.npm_vulnerabilities({"error": {"code": "E405"}}).lines[0].startswith("NOT AUDITED")


@pytest.mark.parametrize(
    ("licence", "permitted"),
    [
        ("MIT", True),
        ("Apache-2.0 OR BSD-3-Clause", True),
        ("GPL-3.0-only OR MIT", True),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("MIT AND GPL-3.0-only", False),
        ("Apache Software License; MIT License", True),
        ("GNU General Public License v3 (GPLv3)", False),
        ("UNKNOWN", False),
    ],
)
def test_licences(licence: str, permitted: bool) -> None:
    assert audit.is_permitted(licence) is permitted


def test_a_licence_that_is_not_permitted_fails_the_audit() -> None:
    finding = audit.licences([{"Name": "a", "License": "MIT"}, {"Name": "b", "License": "AGPL-3.0"}])
    assert finding.failed
    assert finding.lines == ["NOT PERMITTED: AGPL-3.0: b", "MIT: a"]


def test_the_lock_file_fits_the_development_group() -> None:
    lines = re.findall(r"^([\w.-]+)==([^\s;]+)", audit.LOCK.read_text(), re.MULTILINE)
    locked = {_normal(name): version for name, version in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["dependency-groups"]["dev"], *project["project"]["dependencies"]]
    for requirement in map(Requirement, wanted):
        version = locked.get(_normal(requirement.name))
        assert version is not None, f"{requirement} is not locked: run `make lock`"
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}: run `make lock`"


def test_everything_in_a_lock_file_has_a_hash() -> None:
    for path in (audit.LOCK, audit.TOOLS_LOCK):
        entries = path.read_text().replace("\\\n", " ").splitlines()
        packages = [line for line in entries if line and not line.startswith("#")]
        assert len(packages) > 20
        assert [line for line in packages if "--hash=sha256:" not in line] == []


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
