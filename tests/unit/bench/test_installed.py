"""What is said of the versions that are installed."""

from __future__ import annotations

import json
from pathlib import Path

from bench.peers.installed import ORIGINAL_NAME, original_version


def installed(folder: Path, wanted: str, **more: str) -> Path:
    """Write what npm leaves of the original, and return its directory of packages."""
    packages = folder / "node_modules"
    (packages / ORIGINAL_NAME).mkdir(parents=True)
    (packages / ORIGINAL_NAME / "package.json").write_text(json.dumps({"version": "1.2.3", **more}))
    (folder / "package.json").write_text(json.dumps({"dependencies": {ORIGINAL_NAME: wanted}}))
    return packages


def test_of_the_registrys_package_it_is_the_version(tmp_path: Path) -> None:
    assert original_version(installed(tmp_path, "^1.2.3")) == "1.2.3"


def test_of_a_folder_it_is_said_with_its_commit_if_that_is_known(tmp_path: Path) -> None:
    assert original_version(installed(tmp_path / "a", "file:../package")) == "1.2.3, from a folder"
    of_commit = installed(tmp_path / "b", "file:../package", gitHead="0123456789abcdef")
    assert original_version(of_commit) == "1.2.3, from a folder of commit 0123456789ab"


def test_without_the_original_there_is_no_version(tmp_path: Path) -> None:
    assert original_version(tmp_path) == ""
