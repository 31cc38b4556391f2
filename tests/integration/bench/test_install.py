"""The original is installed from a folder, by npm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench.native import BenchError, NotInstalled
from bench.peers.install import install_original
from bench.peers.installed import ORIGINAL_NAME, npm, original_version


@pytest.fixture(autouse=True)
def need_npm() -> None:
    try:
        npm()
    except NotInstalled as error:
        pytest.skip(str(error))


def package(folder: Path, version: str, **more: str) -> Path:
    folder.mkdir(exist_ok=True)
    manifest = {"name": ORIGINAL_NAME, "version": version, "main": "index.js", **more}
    (folder / "package.json").write_text(json.dumps(manifest))
    (folder / "index.js").write_text(f"exports.version = '{version}';\n")
    return folder


def test_a_folder_is_copied_and_replaces_what_is_installed(tmp_path: Path) -> None:
    folder, target = package(tmp_path / "package", "1.2.3"), tmp_path / "installed" / "node_modules"
    install_original(folder, target, needed=())
    program = target / ORIGINAL_NAME / "index.js"
    assert "1.2.3" in program.read_text()
    package(folder, "1.2.3").joinpath("index.js").write_text("exports.version = 'changed';\n")
    assert "1.2.3" in program.read_text()  # a copy, which the folder's changes do not touch
    install_original(folder, target, needed=())
    assert "changed" in program.read_text()


def test_the_version_says_that_it_is_from_a_folder_and_of_which_commit(tmp_path: Path) -> None:
    target = tmp_path / "installed" / "node_modules"
    install_original(package(tmp_path / "package", "1.2.3", gitHead="0123456789abcdef"), target, needed=())
    assert original_version(target) == "1.2.3, from a folder of commit 0123456789ab"


def test_what_is_installed_stays_if_no_folder_is_given(tmp_path: Path) -> None:
    target = tmp_path / "installed" / "node_modules"
    install_original(package(tmp_path / "package", "1.2.3"), target, needed=())
    install_original(None, target)
    assert original_version(target) == "1.2.3, from a folder"


@pytest.mark.parametrize("name", ["another-package", None])
def test_a_folder_with_another_package_or_none_is_refused_and_changes_nothing(tmp_path: Path, name: str | None) -> None:
    target = tmp_path / "installed" / "node_modules"
    install_original(package(tmp_path / "package", "1.2.3"), target, needed=())
    other = tmp_path / "other"
    if name is not None:
        package(other, "4.5.6", name=name)
    with pytest.raises(BenchError, match=f"not a folder with the package {ORIGINAL_NAME}"):
        install_original(other, target, needed=())
    assert original_version(target) == "1.2.3, from a folder"
