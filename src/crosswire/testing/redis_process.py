"""A Redis or Valkey process for tests, which can kill, pause and restart it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self, cast
from urllib.parse import quote

import hiredis

from crosswire.cluster.redis.embedded.database import find_server
from crosswire.errors import ConfigError, CrosswireError, NotConnected, UsageError
from crosswire.testing.reserved_port import ReservedPort

_HOST = "127.0.0.1"
_START_TIMEOUT = 15.0
"""Seconds in which a server must answer after its start, and end after SIGKILL."""
_ANSWER_TIMEOUT = 0.5
"""Seconds in which a starting server must answer a command."""
_POLL_INTERVAL = 0.005
"""Seconds between two commands to a starting server."""
_PORTS_TO_TRY = 5
"""Ports that a start tries, as another program may take the one that was found free."""
_PORT_TAKEN = "Address already in use"
_LOG_TAIL = 2000
"""Characters from the end of the server's log in the text of an error."""
_READ_SIZE = 65536
"""Bytes of a read from a socket."""
_INCOMPLETE = object()
"""The parser's result while an answer is incomplete."""


class CommandError(CrosswireError):
    """The server answered a command with an error.

    Attributes:
        code: the first word of the error: "ERR", "NOPERM", "WRONGPASS".
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]


class TlsFiles(NamedTuple):
    """Paths of the PEM files that a server needs for TLS.

    Attributes:
        certificate: the server's certificate, with its chain.
        key: the private key of the certificate.
        authorities: the authorities that the server trusts, if it asks clients for certificates.
    """

    certificate: Path
    key: Path
    authorities: Path


class RedisProcess:
    """A server process that listens on the loopback interface, saves nothing to disk, and ends with its context.

    Its methods block, usually for milliseconds; use ``asyncio.to_thread`` where the event loop must not be blocked, as
    by a :meth:`command` that a paused server does not answer. To start, pause, resume, kill or stop it again has no
    effect.
    A process that is not stopped is killed when its object is collected and when Python exits, but not if Python
    itself is killed.

    Args:
        binary: the server's program; None for the one that ``redis="embedded"`` would use.
        password: of the default user.
        users: lines of an ACL, as in ``user bob on >secret ~* &* +@all``. Keep the default user, as
            :meth:`command` uses it.
        tls: accept TLS connections only; clients need no certificate, unless ``config`` says so.
        unix_socket: listen on a Unix socket instead of a port.
        config: directives of redis.conf and their arguments, which replace those set here.
        arguments: more of the command line, such as ``--sentinel``.

    Example::

        with RedisProcess() as redis:
            bus = RedisBus(redis.url)
            redis.pause()  # it hangs: connections stay open, nothing answers
            redis.resume()
            redis.kill()  # it is gone, with all its connections
            redis.restart()  # and back, on the same port
    """

    def __init__(
        self,
        binary: str | Path | None = None,
        *,
        password: str | None = None,
        users: Sequence[str] = (),
        tls: TlsFiles | None = None,
        unix_socket: bool = False,
        config: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        if tls is not None and unix_socket:
            raise UsageError("a Unix socket speaks no TLS: choose one of the two")
        self._binary = binary
        self._password = password
        self._users = tuple(users)
        self._tls = tls
        self._config = dict(config or {})
        self._arguments = tuple(arguments)
        self._directory = Path(tempfile.gettempdir(), f"crosswire-redis-{secrets.token_hex(8)}")
        self._log = self._directory / "server.log"
        self._unix = self._directory / "redis.sock" if unix_socket else None
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False
        self._belongings = ExitStack()
        weakref.finalize(self, self._belongings.close)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @staticmethod
    @cache
    def supports_tls(binary: str | Path) -> bool:
        """Return whether a server's program was built with TLS."""
        # A server with TLS complains of a missing certificate next; `--version` does not show how it was built.
        options = ["--port", "0", "--tls-port", "1", "--save", ""]
        asked = subprocess.run([binary, *options], capture_output=True, text=True, timeout=_START_TIMEOUT, check=False)
        return "Failed to configure TLS" in asked.stdout + asked.stderr

    @property
    def running(self) -> bool:
        """Whether the process runs or is paused."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process's id.

        Raises:
            UsageError: it does not run.
        """
        if self._process is None or not self.running:
            raise UsageError("the server does not run: start it first")
        return self._process.pid

    @property
    def port(self) -> int:
        """The port of the server, the same after every start; 0 before the first and with a Unix socket."""
        return self._port

    @property
    def log(self) -> str:
        """The lines of the server since its last start, also after it was killed; empty once it is stopped."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def url(self) -> str:
        """The URL for the default user."""
        return self._url("" if self._password is None else f":{quote(self._password, safe='')}@")

    def url_as(self, user: str, password: str) -> str:
        """Return the URL for one of ``users``."""
        return self._url(f"{quote(user, safe='')}:{quote(password, safe='')}@")

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            ConfigError: it does not start; the text ends with the last lines of its log.
        """
        if self.running:
            return
        try:
            self._start(_PORTS_TO_TRY if self._port == 0 and self._unix is None else 1)
        except OSError as error:
            self.stop()
            raise ConfigError(f"the server can't be started: {error}") from error
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """Kill the process with SIGKILL. On Linux its port stays reserved."""
        if self._process is not None:
            _kill(self._process)
        self._paused = False

    def restart(self) -> None:
        """Kill the process if it runs, and start the server on the same port, with the same options.

        Raises:
            ConfigError: it does not start.
        """
        self.kill()
        self.start()

    def pause(self) -> None:
        """Stop the process with SIGSTOP: the kernel still accepts connections and bytes, but nothing answers.

        Raises:
            UsageError: it does not run.
        """
        if self._paused and self.running:
            return
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)  # wait until it stands still: no command after this call may be answered
        self._paused = True

    def resume(self) -> None:
        """Let a paused process go on with SIGCONT."""
        if self._paused and self.running:
            os.kill(self.pid, signal.SIGCONT)
        self._paused = False

    def stop(self) -> None:
        """Kill the process with SIGKILL, remove its files and release its port."""
        self._belongings.close()
        self._paused = False

    def command(self, *args: str | bytes | int | float, timeout: float = 5) -> Any:
        """Send a command on a connection of its own, as the default user; return the decoded answer.

        Bytes that are no UTF-8 come back as surrogates (``surrogateescape``). An error inside an array is an item.

        Raises:
            CommandError: the answer is an error.
            OSError: it can't be reached; a ``TimeoutError`` where nothing came for ``timeout`` seconds.
        """
        commands = [args] if self._password is None else [("AUTH", self._password), args]
        with socket.socket(socket.AF_INET if self._unix is None else socket.AF_UNIX) as plain:
            plain.settimeout(timeout)
            plain.connect((_HOST, self._port) if self._unix is None else str(self._unix))
            with plain if self._tls is None else _secured(plain, self._tls) as connection:
                return _ask(connection, commands)[-1]

    def _url(self, credentials: str) -> str:
        if self._unix is not None:
            return f"unix://{credentials}{quote(str(self._unix))}"
        return f"{'redis' if self._tls is None else 'rediss'}://{credentials}{_HOST}:{self._port}"

    def _start(self, ports: int) -> None:
        """Start the server on its port, or on a free one, of which it tries up to ``ports``."""
        while True:
            self._launch()
            if self._answers():
                return
            ports -= 1
            log = self.log[-_LOG_TAIL:]
            if not ports or _PORT_TAKEN not in log:
                raise ConfigError(f"the server did not start on {self._unix or self._port}:\n{log}")
            self.stop()
            self._port = 0

    def _launch(self) -> None:
        binary = find_server() if self._binary is None else self._binary
        if not self._directory.exists():
            self._prepare()
        configuration = self._directory / "redis.conf"
        configuration.write_text("\n".join([*self._directives(), *self._users, ""]))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [binary, configuration, *self._arguments],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,  # errors in the configuration are printed, so the log is what is printed, both in one file
                stderr=log,
            )
        self._belongings.callback(_kill, self._process)

    def _prepare(self) -> None:
        self._directory.mkdir(mode=0o700)
        self._belongings.callback(shutil.rmtree, self._directory)
        if self._unix is None:
            reserved = ReservedPort(self._port)
            self._belongings.callback(reserved.close)
            self._port = reserved.number

    def _directives(self) -> list[str]:
        found = {
            "bind": _HOST,
            "port": "0" if self._tls is not None else str(self._port),
            "protected-mode": "no",
            "save": "",
            "appendonly": "no",
            "dir": quoted(self._directory),
            "loglevel": "warning",
        }
        if self._password is not None:
            found["requirepass"] = quoted(self._password)
        if self._unix is not None:
            found["unixsocket"] = quoted(self._unix)
        if self._tls is not None:
            names = ("tls-cert-file", "tls-key-file", "tls-ca-cert-file")
            found |= {name: quoted(path.absolute()) for name, path in zip(names, self._tls, strict=True)}
            found |= {"tls-port": str(self._port), "tls-auth-clients": "no"}
        return [f"{name} {value or quoted('')}" for name, value in (found | self._config).items()]

    def _answers(self) -> bool:
        """Wait until the server answers, even with an error; return False if it ends or the time is over."""
        assert self._process is not None
        ours = f"process_id:{self._process.pid}\r\n"
        deadline = time.monotonic() + _START_TIMEOUT
        while self.running and time.monotonic() < deadline:
            try:
                self.command("PING", timeout=_ANSWER_TIMEOUT)
                if ours in self.command("INFO", "server", timeout=_ANSWER_TIMEOUT):
                    return True  # if not, another program listens on the port, and our server is about to end
            except CommandError as error:
                if error.code != "LOADING":
                    return True
            except OSError:
                pass  # it does not listen yet
            time.sleep(_POLL_INTERVAL)
        return False


def servers_here() -> list[Path]:
    """Return the program of every server on this machine, the packaged one first, for parametrised tests."""
    found: dict[Path, Path] = {}
    for path in (_packaged(), shutil.which("valkey-server"), shutil.which("redis-server")):
        if path is not None:
            found.setdefault(Path(path).resolve(), Path(path))
    return list(found.values())


def _packaged() -> Path | None:
    try:
        return find_server()
    except ConfigError:
        return None  # no server is installed


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait(_START_TIMEOUT)


def quoted(value: str | Path) -> str:
    """Return an argument in the quotes of redis.conf."""
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _secured(plain: socket.socket, files: TlsFiles) -> ssl.SSLSocket:
    """Wrap a socket in TLS without checking the certificate, as clients under test may have to refuse it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(files.certificate, files.key)  # for a configuration that asks clients for one
    return context.wrap_socket(plain)


def _ask(connection: socket.socket, commands: Sequence[tuple[str | bytes | int | float, ...]]) -> list[Any]:
    """Send commands and return their answers."""
    reader = hiredis.Reader(
        replyError=CommandError, encoding="utf-8", errors="surrogateescape", notEnoughData=_INCOMPLETE
    )
    packed = [hiredis.pack_command(cast(Any, each)) for each in commands]  # it is typed as taking one argument
    connection.sendall(b"".join(packed))
    answers: list[Any] = []
    while len(answers) < len(commands):
        answer = reader.gets()
        if answer is _INCOMPLETE:
            _feed(reader, connection)
        elif isinstance(answer, CommandError):
            raise answer
        else:
            answers.append(answer)
    return answers


def _feed(reader: hiredis.Reader, connection: socket.socket) -> None:
    data = connection.recv(_READ_SIZE)
    if not data:
        raise NotConnected("the server closed the connection before it answered")
    reader.feed(data)
