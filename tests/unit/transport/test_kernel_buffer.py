from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from crosswire.transport.kernel_buffer import bytes_in_kernel

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is sure to tell")


def test_bytes_that_the_peer_has_not_read_are_counted() -> None:
    writer, reader = socket.socketpair()
    with writer, reader:
        assert bytes_in_kernel(writer.fileno()) == 0
        writer.send(bytes(1000))
        assert bytes_in_kernel(writer.fileno()) >= 1000
        reader.recv(1000)
        assert bytes_in_kernel(writer.fileno()) == 0


def test_a_descriptor_that_can_not_tell_has_none(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        assert bytes_in_kernel(file.fileno()) == 0
