"""The server that tests attack, in a process of its own: ``python -m tests.support.attacked_program OPTIONS``.

OPTIONS is JSON, see :func:`tests.support.attacks.attacked_server`. A line of JSON on standard output has the port once
the server listens. Each line on standard input is a question, answered with a line, in a thread of its own: so the
attacked event loop need not be free.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import os
import signal
import socket as sockets
import ssl
import sys
import threading
import time
from collections import Counter, deque
from typing import Any

from crosswire import Handshake, Heartbeat, Limits, Server, Socket
from crosswire.runtime import loops
from tests.support.uvicorn_server import serve_forever

SAMPLE_INTERVAL = 0.001
"""Seconds between two runs of the meter, in a loop that has nothing to do; also what it may measure too much."""
KEPT_LINES = 2000
"""Number of the last log lines that are kept."""


class TurnMeter:
    """The longest turn of the event loop, in milliseconds of CPU time: what others do on the machine does not count.

    A timer of the shortest delay runs once in every turn that lasts longer than that. What the thread has used since
    the run before is one long turn, or several that were shorter than the delay.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last = 0.0
        self._longest = 0.0
        self.turns = 0

    def start(self) -> None:
        """Measure the running event loop from now on."""
        self._loop = asyncio.get_running_loop()
        self._last = time.thread_time()
        self._loop.call_later(SAMPLE_INTERVAL, self._run)

    def take(self) -> float:
        """Return the longest turn since the last call."""
        longest, self._longest = self._longest, 0.0
        return longest * 1000

    def tasks(self) -> int:
        """Return the number of tasks of the event loop."""
        return 0 if self._loop is None else len(asyncio.all_tasks(self._loop))

    def _run(self) -> None:
        assert self._loop is not None
        now = time.thread_time()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        self.turns += 1
        self._loop.call_later(SAMPLE_INTERVAL, self._run)


class LogLines(logging.Handler):
    """Handler that counts all log lines of the process and keeps the last."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        self.count = 0
        self.last: deque[str] = deque(maxlen=KEPT_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, with its traceback if it has one."""
        self.count += 1
        self.last.append(self.format(record))


class AttackedServer:
    """The server, its handlers, and what they count.

    Args:
        options: as given on the command line.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self.meter = TurnMeter()
        self.log = LogLines()
        self.counts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        limits, heartbeat = Limits(**options.pop("limits")), Heartbeat(**options.pop("heartbeat"))
        hooks, self._asgi = options.pop("hooks"), options.pop("asgi")
        if (certificate := options.pop("certificate")) is not None:
            options["tls"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            options["tls"].load_cert_chain(f"{certificate}/certificate.pem", f"{certificate}/key.pem")
        self._server = Server(port=0, limits=limits, heartbeat=heartbeat, **options)
        self._add_handlers()
        self._add_shouting()
        if hooks:
            self._add_hooks()
        self._server.on_start(self._started)

    def run(self) -> None:
        """Serve until the process is ended."""
        threading.Thread(target=self._answer_questions, daemon=True).start()
        if self._asgi:
            listening = sockets.create_server(("127.0.0.1", 0))
            _say({"port": listening.getsockname()[1]})
            serve_forever(self._server.asgi, listening)
        else:
            self._server.on_listening(lambda: _say({"port": self._server.port}))
            self._server.run()

    def _started(self) -> None:
        self.meter.start()

    def _add_handlers(self) -> None:
        server, counts = self._server, self.counts

        @server.authenticate
        async def who(handshake: Handshake) -> str | None:
            user = handshake.query.get("user")
            if user is not None and user.startswith("pending"):
                await asyncio.sleep(3600)
            return user

        @server.on("echo")
        def echo(socket: Socket, data: Any) -> Any:
            counts["echo"] += 1
            return data

        @server.on("busy")
        def busy(socket: Socket, data: Any) -> None:
            counts["busy"] += 1
            end = time.thread_time() + 0.001
            while time.thread_time() < end:
                pass

        @server.on("slow")
        async def slow(socket: Socket, data: Any) -> None:
            counts["slow"] += 1
            await asyncio.sleep(3600)

        @server.on("keep")
        async def keep(socket: Socket, data: Any) -> None:
            counts["keep"] += 1
            socket.data.setdefault("kept", []).append(data)

        @server.on("join")
        async def join(socket: Socket, data: str) -> None:
            await socket.join("room", data)

        @server.on("tell")
        def tell(socket: Socket, data: str) -> None:
            server.everyone.send("told", data)

    def _add_shouting(self) -> None:
        server = self._server

        @server.on("shout")
        async def shout(socket: Socket, data: dict[str, int]) -> None:
            text = "x" * data["size"]
            for _ in range(data["count"]):
                server.room("room", "shout").send("told", text)
                await asyncio.sleep(0)  # drained may return at once, and a handler must not hold the event loop
                await socket.drained()

    def _add_hooks(self) -> None:
        server, counts = self._server, self.counts

        @server.on_pong
        def pong(socket: Socket) -> None:
            counts["pong"] += 1

        @server.on_heartbeat
        def heartbeat(socket: Socket) -> None:
            counts["heartbeat"] += 1

        @server.on_connect
        def connect(socket: Socket) -> None:
            counts["connect"] += 1

        @server.on_disconnect
        def disconnect(socket: Socket) -> None:
            counts["disconnect"] += 1

        @server.on_error
        def error(socket: Socket | None, failure: Exception) -> None:
            self.errors[type(failure).__name__] += 1

    # The side channel

    def _answer_questions(self) -> None:
        for line in sys.stdin:
            if line.strip() == "trim":
                gc.collect()
                ctypes.CDLL(None).malloc_trim(0)
                _say({})
            else:
                _say(self._state())
        os.kill(os.getpid(), signal.SIGKILL)  # the test has ended

    def _state(self) -> dict[str, Any]:
        parts = self._server._instruments._parts
        lines = list(self.log.last)
        return {
            "longest_turn": self.meter.take(),
            "turns": self.meter.turns,
            "cpu": time.process_time(),
            "tasks": self.meter.tasks(),
            "timers": sum(map(len, list(parts.wheel._slots.values()))),
            "connections": len(parts.sessions),
            "teardowns": len(parts.sessions.teardowns),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "log_lines": self.log.count,
            "log": lines,
            "counts": dict(self.counts),
            "errors": dict(self.errors),
        }


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def main() -> None:
    """Run the server with the options of the command line."""
    if os.environ.get("CROSSWIRE_TEST_LOOP") == "asyncio":
        loops.loop_factory = lambda: None
    attacked = AttackedServer(json.loads(sys.argv[1]))
    logging.basicConfig(level=logging.INFO, handlers=[attacked.log])
    attacked.run()


if __name__ == "__main__":
    main()
