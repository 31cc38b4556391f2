"""A Valkey of the demo, on loopback, without persistence. valkeys.py starts it.

This program ends when its Valkey does, and kills it when it is ended itself.
"""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from crosswire import ConfigError
from crosswire.cluster.redis.embedded.database import find_server

HOST = "127.0.0.1"
START_TIMEOUT = 15.0
"""Seconds that the Valkey has to answer."""


def main() -> int:
    """Run until it ends or Ctrl-C; return the exit code."""
    parser = argparse.ArgumentParser(description="One Valkey of Crosswire's demo; demo.py starts them.")
    parser.add_argument("--port", required=True, type=int, help="port to listen on")
    port = parser.parse_args().port
    try:
        program = find_server()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(_command(program, port), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        signal.signal(signal.SIGTERM, lambda _number, _frame: server.kill())  # to kill this is to kill the Valkey
        try:
            if _listens(server, port):
                print(f"listens on redis://{HOST}:{port}  pid {server.pid}")
                code = server.wait()
            else:
                code = server.wait(START_TIMEOUT)
                log.seek(0)
                print(log.read().decode(errors="replace"), file=sys.stderr)
        finally:
            server.kill()
            server.wait()
    if code < 0:
        signal.raise_signal(-code)  # end in the same way
    return code


def _command(program: Path, port: int) -> list[str]:
    options = {"bind": HOST, "port": str(port), "save": "", "appendonly": "no", "loglevel": "warning"}
    return [str(program), *(word for name, value in options.items() for word in (f"--{name}", value))]


def _listens(server: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_TIMEOUT
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return True
        time.sleep(0.01)
    return False


if __name__ == "__main__":
    sys.exit(main())
