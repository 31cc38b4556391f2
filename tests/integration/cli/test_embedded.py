"""The embedded Valkey of an application: folders and names, in processes of their own."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.program import HERE, Result, crosswire, port_of, serving


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for the folders of applications, and for their Valkeys."""
    folder = Path(tempfile.mkdtemp(prefix="cw", dir="/tmp")).resolve()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class Machine:
    """Commands that meet nobody but each other, whatever else runs here."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.environment = {"TMPDIR": str(place), "PYTHONPATH": str(HERE)}

    def folder(self, name: str) -> Path:
        """A folder of that name, made where it is missing."""
        folder = self._place / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def run(self, folder: Path, *words: str) -> Result:
        return crosswire(*words, environment=self.environment, folder=folder)

    def nodes(self, folder: Path, *cluster: str) -> tuple[list[str], list[str]]:
        """The names of the nodes, and what the Redis are called."""
        code, out, err = self.run(folder, "nodes", "--json", *cluster)
        assert (code, err) == (0, "")
        told = json.loads(out)
        return [each["name"] for each in told["nodes"]], [each["url"] for each in told["redis"]]


def test_each_folder_has_its_own_embedded_redis_for_all_its_workers(place: Path) -> None:
    machine = Machine(place)
    # The name of a folder may be long, and have any letters: the path of a socket may not.
    shop, bank, other = machine.folder("shop"), machine.folder("b%41nk ?#é" + "x" * 200), machine.folder("other")
    (place / "link").symlink_to(shop)
    words = ("app:server", "--embedded", "--port", "0")
    with (
        serving(*words, "--workers", "2", "--name", "shop", environment=machine.environment, folder=shop) as served,
        serving(*words, "--name", "bank", environment=machine.environment, folder=bank) as another,
    ):
        assert port_of(served)
        assert port_of(another)
        for folder in (shop, place / "link"):
            assert machine.nodes(folder, "--embedded") == (["shop-1", "shop-2"], [f"embedded:{shop}"])
        assert machine.nodes(bank, "--embedded") == (["bank-1"], [f"embedded:{bank}"])
        assert machine.nodes(other, "--redis", f"embedded:{shop}")[0] == ["shop-1", "shop-2"]
        assert f"embedded:{shop}: a Valkey for what is started in the folder {shop} (" in served.output

        for command in (("nodes",), ("send", "x", "--nodes"), ("call", "shop-1", "double", "4")):
            code, out, err = machine.run(other, *command, "--embedded")
            assert (code, out, err.count("\n")) == (1, "", 1)
            assert err.startswith(f"BUS_UNAVAILABLE: no application uses the Valkey embedded:{other}: ")
            assert f"there are embedded:{bank}, embedded:{shop} " in err


def test_processes_with_the_same_name_share_an_embedded_redis(place: Path) -> None:
    machine = Machine(place)
    one, two = machine.folder("one"), machine.folder("two")
    named = ("app:server", "--port", "0", "--redis", "embedded:shop")
    with (
        serving(*named, "--name", "a", environment=machine.environment, folder=one) as served,
        serving(*named, "--name", "b", environment=machine.environment, folder=two) as another,
    ):
        assert port_of(served)
        assert port_of(another)
        for folder in (one, place):
            assert machine.nodes(folder, "--redis", "embedded:shop") == (["a-1", "b-1"], ["embedded:shop"])
        code, out, err = machine.run(one, "nodes", "--embedded")
        assert (code, out) == (1, "")
        assert "there are embedded:shop (give one with --redis)" in err
        assert "embedded:shop: a Valkey for what is given redis='embedded:shop' (" in served.output


def test_an_application_that_changes_its_folder_is_found_where_it_was_started(place: Path) -> None:
    machine = Machine(place)
    folder = machine.folder("shop")
    (folder / "moving.py").write_text(
        "import os\nfrom crosswire import Server\nserver = Server('web', port=0, redis='embedded')\nos.chdir('/')\n"
    )
    for words in ((), ("--embedded",)):
        with serving("moving:server", *words, environment=machine.environment, folder=folder) as served:
            assert port_of(served)
            assert machine.nodes(folder, "--embedded") == (["web-1"], [f"embedded:{folder}"])
