from __future__ import annotations

import socket
from pathlib import Path

import pytest

from crosswire.errors import ConfigError
from crosswire.transport.unix_socket import UnixSocket


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("unix:/run/app.sock", UnixSocket("/run/app.sock")),
        ("unix:///run/app.sock", UnixSocket("/run/app.sock")),
        ("unix:/run/app.sock?mode=660", UnixSocket("/run/app.sock", 0o660)),
        ("unix:/run/app.sock?mode=0777", UnixSocket("/run/app.sock", 0o777)),
    ],
)
def test_an_address_is_parsed(host: str, place: UnixSocket) -> None:
    assert UnixSocket.parse(host) == place


@pytest.mark.parametrize(
    "host",
    [
        "unix:",
        "unix:/",
        "unix:app.sock",
        "unix:./app.sock",
        "unix:/run/",
        "unix:/run/a\nb",
        "unix:/run/a\0b",
        "unix:/" + "x" * 103,
        "unix:/run/a?",
        "unix:/run/a?mode",
        "unix:/run/a?mode=",
        "unix:/run/a?mode=rw",
        "unix:/run/a?mode=888",
        "unix:/run/a?mode=66",
        "unix:/run/a?mode=66000",
        "unix:/run/a?mode=0o660",
        "unix:/run/a?mode=660&user=me",
        "unix:/run/a?user=me",
    ],
)
def test_an_invalid_address_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="host="):
        UnixSocket.parse(host)


def test_a_file_that_replaced_ours_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    place = UnixSocket(str(path))
    assert place.identity() is None
    place.remove(None)
    with socket.socket(socket.AF_UNIX) as ours:
        ours.bind(str(path))
        identity = place.identity()
        path.rename(tmp_path / "away")
        with socket.socket(socket.AF_UNIX) as theirs:
            theirs.bind(str(path))
            place.remove(identity)
            assert path.is_socket()
            place.remove(place.identity())
            assert not path.exists()


def test_a_file_that_is_no_socket_has_no_identity(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("mine")
    assert UnixSocket(str(tmp_path / "s")).identity() is None
