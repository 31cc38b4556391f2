"""Blocking connections to a Redis, made by redis-py."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple, Protocol, cast

from crosswire.cluster.redis.address import Address, SentinelService, Tls
from crosswire.cluster.redis.commands import command
from crosswire.errors import ConfigError

CONNECT_TIMEOUT = 1.0
"""Seconds in which a connection to a Redis must be made; as many for logging in."""
ANSWER_TIMEOUT = 2.0
"""Seconds in which a Redis must take what is written, and answer it, where a message can't be sent over another."""
SENTINEL_TIMEOUT = 0.5
"""Seconds in which a sentinel must answer."""
RETRY_AFTER = 1.0
"""Seconds for which a Redis that failed is left out; twice as many after each further failure."""
MAX_RETRY_AFTER = 30.0
"""Seconds for which a Redis is left out at most, while others can be used."""


class LinkFailed(Exception):
    """A Redis can't be used now; the text says why.

    Attributes:
        sent: whether the commands may have been carried out.
    """

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


class Refusal(NamedTuple):
    """An error with which a Redis answered a command.

    Attributes:
        text: of the error.
        unusable: whether the Redis can't be used now for any command.
        is_forgotten: whether it does not know the script, any more or yet.
    """

    text: str
    unusable: bool
    is_forgotten: bool = False


class _Connection(Protocol):
    """The part of redis-py's connections that is used here."""

    def connect(self) -> None: ...

    def disconnect(self) -> None: ...

    def can_read(self, timeout: float = 0) -> bool: ...

    def send_packed_command(self, command: Sequence[bytes], check_health: bool = True) -> None: ...

    def read_response(self, disable_decoding: bool = False) -> Any: ...


def require_redis_py() -> None:
    """Check that redis-py is installed.

    Raises:
        ConfigError: it is not.
    """
    try:
        import redis  # noqa: F401
    except ImportError as error:
        raise ConfigError("an Emitter needs redis-py: pip install 'crosswire[emitter]'") from error


class RedisLink:
    """A connection to a Redis, opened when it is needed. Only one thread may use it at a time.

    Args:
        address: of the Redis.
        name: under which Redis lists the connection.
        timeout: seconds in which it must take what is written, and answer it.

    Attributes:
        address: as given.
        id: the name of the Redis, the same on every node.
        shown: its URL without the password.
        latency: milliseconds that the last answer took, or None.
        listeners: number of nodes that listen on it, as far as known; None while there is no connection.
        tells_listeners: whether it lets the emitter ask for that number.
        retry_at: time of the monotonic clock until which it is left out, as it failed.
        retry_anyway_at: time until which it is left out even if no other can be used: when it has just not answered,
            another attempt would take as long.
        failure: why it failed last.
        connections: number of connections that were made so far.
    """

    def __init__(self, address: Address, name: str, timeout: float = ANSWER_TIMEOUT) -> None:
        self.id = address.id
        self.shown = address.shown
        self.latency: float | None = None
        self.listeners: int | None = None
        self.tells_listeners = True
        self.retry_at = self.retry_anyway_at = -inf
        self._failures = 0
        self.failure = ""
        self.connections = 0
        self.address = address
        self._name = name
        self._timeout = timeout
        self._connection: _Connection | None = None
        self._unanswered = False
        self._written = 0.0

    @property
    def may_be_tried(self) -> bool:
        """Whether it did not fail just now, or did, but at once: then an attempt takes no time."""
        now = time.monotonic()
        return self.retry_at <= now or self.retry_anyway_at <= now

    def open(self) -> None:
        """Connect and log in, unless there is a connection that works.

        Raises:
            LinkFailed: the Redis can't be reached, or refuses the user or password.
        """
        from redis.exceptions import RedisError

        connection = self._connection
        try:
            if connection is not None:
                if not self._unanswered and not connection.can_read(0):
                    return
                self.drop()  # it was closed meanwhile, or an answer would be taken for that to another command
        except (RedisError, OSError):
            self.drop()
        try:
            self._connection = _opened(self.address, self._name, self._timeout)
            self.connections += 1
        except (RedisError, OSError) as error:
            raise self._failed(error, sent=False) from error

    def send(self, commands: Sequence[bytes], *, connection: int | None = None) -> None:
        """Write encoded commands at once. If the answers to those before were not read, connect anew.

        Args:
            commands: that are written.
            connection: number of the connection that they are for; None for any.

        Raises:
            LinkFailed: they may have got lost.
        """
        from redis.exceptions import RedisError

        self.open()
        assert self._connection is not None, "it is open"
        if connection is not None and connection != self.connections:
            raise LinkFailed(f"{self.shown}: the connection was lost", sent=False)
        self._written, self._unanswered = time.perf_counter(), True
        try:
            self._connection.send_packed_command([b"".join(commands)], check_health=False)
        except BaseException as error:
            self.drop()
            if not isinstance(error, RedisError | OSError):
                raise
            raise self._failed(error, sent=True) from error

    def receive(self, count: int) -> list[Any]:
        """Read the answers to as many commands; an error is a :class:`Refusal`.

        Raises:
            LinkFailed: they do not come.
        """
        from redis.exceptions import ClusterDownError, NoScriptError, ReadOnlyError, RedisError, ResponseError

        connection = self._connection
        assert connection is not None, "commands were sent"
        answers: list[Any] = []
        try:
            while len(answers) < count:
                try:
                    answers.append(connection.read_response(disable_decoding=True))
                except ResponseError as refusal:
                    unusable = isinstance(refusal, ReadOnlyError | ClusterDownError)  # MasterDownError is one too
                    unusable = unusable or str(refusal).startswith("NOREPLICAS")
                    answers.append(Refusal(str(refusal), unusable, isinstance(refusal, NoScriptError)))
        except BaseException as error:
            self.drop()
            if not isinstance(error, RedisError | OSError):
                raise
            raise self._failed(error, sent=True) from error
        self.latency = (time.perf_counter() - self._written) * 1000
        self.retry_at = self.retry_anyway_at = -inf
        self._failures, self._unanswered = 0, False
        return answers

    def drop(self) -> None:
        """Close the connection, if there is one."""
        self.listeners, self._unanswered = None, False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def leave_out(self, why: str, *, hung: bool = False) -> None:
        """Leave the Redis out for a while."""
        now = time.monotonic()
        self.retry_at = now + min(RETRY_AFTER * 2**self._failures, MAX_RETRY_AFTER)
        self.retry_anyway_at = now + RETRY_AFTER if hung else -inf
        self._failures += 1
        self.failure = f"{self.shown}: {why}"

    def _failed(self, error: BaseException, *, sent: bool) -> LinkFailed:
        from redis.exceptions import TimeoutError as RedisTimeout

        self.leave_out(str(error), hung=isinstance(error, RedisTimeout | TimeoutError))
        return LinkFailed(self.failure, sent=sent)


class RedisSubscription:
    """A connection that listens on one channel of a Redis, for the answers to one question.

    Args:
        address: of the Redis.
        name: under which Redis lists the connection.
        channel: its name.

    Raises:
        LinkFailed: the Redis can't be reached, or refuses.
    """

    def __init__(self, address: Address, name: str, channel: bytes) -> None:
        from redis.exceptions import RedisError

        self._shown = address.shown
        self._connection: Any = None
        try:
            self._connection = _opened(address, name, ANSWER_TIMEOUT)
            self._connection.send_packed_command([command(b"SUBSCRIBE", channel)], check_health=False)
            self._connection.read_response()
        except BaseException as error:
            self.close()
            if not isinstance(error, RedisError | OSError):
                raise
            raise LinkFailed(f"{self._shown}: {error}", sent=False) from error

    def fileno(self) -> int:
        """Return the descriptor of the socket, so that a selector can wait for it."""
        return int(self._connection._sock.fileno())

    def read(self) -> list[bytes]:
        """Return the messages that have come, without waiting.

        Raises:
            LinkFailed: the connection is lost.
        """
        from redis.exceptions import RedisError

        messages: list[bytes] = []
        try:
            while self._connection.can_read(0):
                kind, _, message = self._connection.read_response(disable_decoding=True)
                if kind == b"message":
                    messages.append(message)
        except (RedisError, OSError) as error:
            raise LinkFailed(f"{self._shown}: {error}", sent=True) from error
        return messages

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.disconnect()


def _opened(address: Address, name: str, timeout: float) -> _Connection:
    """Open a connection.

    Raises:
        RedisError, OSError: that is not possible.
    """
    from redis.exceptions import ConnectionError as RedisConnectionError

    connection = _connection(_place(address), timeout)
    try:
        connection.connect()
        _name_connection(connection, name)
        if address.service is not None:  # a sentinel may name a former master
            connection.send_packed_command([command(b"ROLE")], check_health=False)
            if (role := connection.read_response(disable_decoding=True)[0]) != b"master":
                raise RedisConnectionError(f"what the sentinels name as the master is a {role.decode()}")
    except BaseException:
        connection.disconnect()
        raise
    return connection


def _name_connection(connection: _Connection, name: str) -> None:
    from redis.exceptions import ResponseError

    connection.send_packed_command([command(b"CLIENT", b"SETNAME", name.encode())], check_health=False)
    try:
        connection.read_response()
    except ResponseError:
        return  # an ACL forbids it; the connection works without a name


def _connection(address: Address, timeout: float) -> _Connection:
    """Make a connection that is not connected yet."""
    import redis

    library: Any = redis  # its own annotations are incomplete
    options: dict[str, Any] = {
        "db": address.db,
        "username": address.user,
        "password": address.password,
        "socket_timeout": timeout,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "protocol": 2,
    }
    if address.path:
        made = library.UnixDomainSocketConnection(path=address.path, **options)
    elif address.tls is None:
        made = library.Connection(host=address.host, port=address.port, **options)
    else:
        made = library.SSLConnection(host=address.host, port=address.port, **options, **_tls_options(address.tls))
    return cast(_Connection, made)


def _tls_options(tls: Tls) -> dict[str, Any]:
    return {
        "ssl_ca_certs": tls.ca_certs,
        "ssl_certfile": tls.certfile,
        "ssl_keyfile": tls.keyfile,
        "ssl_cert_reqs": "required" if tls.verify else "none",
        "ssl_check_hostname": tls.verify and tls.check_hostname,
    }


def _place(address: Address) -> Address:
    """Return the address of the server itself: of a service, that of its master.

    Raises:
        RedisError: no sentinel names a master.
    """
    if address.service is None:
        return address
    host, port = _find_master(address.service, address.tls)
    return Address(
        url=address.url,
        host=host,
        port=port,
        db=address.db,
        user=address.user,
        password=address.password,
        tls=address.tls,
    )


def _find_master(service: SentinelService, tls: Tls | None) -> tuple[str, int]:
    import redis.sentinel

    library: Any = redis.sentinel

    options: dict[str, Any] = {
        "username": service.user,
        "password": service.password,
        "socket_timeout": SENTINEL_TIMEOUT,
        "socket_connect_timeout": SENTINEL_TIMEOUT,
        "protocol": 2,
    }
    if tls is not None:
        options |= {"ssl": True, **_tls_options(tls)}
    sentinel = library.Sentinel([(place.host, place.port) for place in service.places], sentinel_kwargs=options)
    try:
        host, port = sentinel.discover_master(service.name)
    finally:
        for each in sentinel.sentinels:
            each.close()
    return host, port
