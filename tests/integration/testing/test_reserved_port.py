from __future__ import annotations

import errno
import gc
import os
import socket
import sys

import pytest

from crosswire.testing.reserved_port import ReservedPort

TAKEN = os.strerror(errno.EADDRINUSE)


def listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def test_a_server_may_listen_on_a_reserved_port_again_and_again() -> None:
    reserved = ReservedPort()
    for _ in range(2):
        listen(reserved.number).close()
    reserved.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port is only found to be free")
def test_a_port_is_reserved_until_it_is_closed_or_collected() -> None:
    reserved = ReservedPort()
    number = reserved.number
    with socket.socket() as other, pytest.raises(OSError, match=TAKEN):
        other.bind(("127.0.0.1", number))
    del reserved
    gc.collect()
    with socket.socket() as other:
        other.bind(("127.0.0.1", number))


def test_a_port_on_which_somebody_listens_is_refused() -> None:
    with listen(0) as taken, pytest.raises(OSError, match=TAKEN):
        ReservedPort(taken.getsockname()[1])
