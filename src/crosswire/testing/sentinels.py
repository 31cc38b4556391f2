"""A Redis with a replica, and sentinels that watch them: real processes, for tests of a failover."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from crosswire.errors import ConfigError
from crosswire.testing.redis_process import RedisProcess, quoted

_START_TIMEOUT = 15.0
"""Seconds in which replicas and sentinels must know each other."""
_POLL_INTERVAL = 0.02
"""Seconds between two checks whether replicas and sentinels know each other."""
_SENTINEL_PERIODS = {
    "INFO-PERIOD": 100,
    "PUBLISH-PERIOD": 100,
    "ASK-PERIOD": 100,
    "TILT-PERIOD": 100,
    "PING-PERIOD": 300,
}
"""Periods of a sentinel in milliseconds, short, so that a failover is quick. TILT-PERIOD is the time for which a
sentinel does nothing after its process stood still, as happens on a busy machine. PING-PERIOD can't be as short as the
others: a replica is elected only if its last INFO is no older than five of them, and while the master is down, it is
asked for INFO only once a second, whatever INFO-PERIOD is. It is shorter than the default of ``down_after``, so that
a sentinel has tried to connect again before it takes the master for dead: each new attempt begins that time anew."""


class SentinelGroup:
    """A master, its replicas and sentinels, which elect another master when that one is gone.

    Its methods block, as those of :class:`~crosswire.testing.redis_process.RedisProcess`.

    Args:
        service: the name under which the sentinels know the master.
        replicas: how many replicas the master has.
        sentinels: how many watch it.
        binary: the servers' program; None for the one that ``redis="embedded"`` would use.
        password: of the servers' default user.
        sentinel_password: of the sentinels' default user.
        down_after: seconds of silence after which a sentinel takes the master for dead.

    Example::

        with SentinelGroup() as group:
            server = Server(redis=group.url)
            group.master.kill()  # the replica becomes the master, some two seconds later
    """

    def __init__(
        self,
        service: str = "main",
        *,
        replicas: int = 1,
        sentinels: int = 3,
        binary: str | Path | None = None,
        password: str | None = None,
        sentinel_password: str | None = None,
        down_after: float = 0.5,
    ) -> None:
        self.service = service
        self._replicas = replicas
        self._count = sentinels
        self._binary = binary
        self._password = password
        self._sentinel_password = sentinel_password
        self._down_after = down_after
        self._running = ExitStack()
        self.servers: list[RedisProcess] = []
        self.sentinels: list[RedisProcess] = []

    def __enter__(self) -> Self:
        try:
            first = self._server()
            self.servers = [first, *(self._server(replica_of=first) for _ in range(self._replicas))]
            self._wait(lambda: all(_role(each)[3] == "connected" for each in self.servers[1:]), "the replicas follow")
            self.sentinels = [self._sentinel(first) for _ in range(self._count)]
            self._wait(lambda: all(map(self._knows_all, self.sentinels)), "the sentinels know each other")
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._running.close()

    @property
    def url(self) -> str:
        """The URL for clients: the places of the sentinels, and the service."""
        credentials = "" if self._password is None else f":{quote(self._password, safe='')}@"
        places = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        secret = "" if self._sentinel_password is None else quote(self._sentinel_password, safe="")
        query = f"?sentinel_password={secret}" if secret else ""
        return f"redis+sentinel://{credentials}{places}/{quote(self.service, safe='')}{query}"

    @property
    def master(self) -> RedisProcess:
        """The server that most sentinels name as the master."""
        named = [self._named(each) for each in self.sentinels if each.running]
        port = max(named, key=named.count)
        return next(each for each in self.servers if each.port == port)

    @property
    def logs(self) -> str:
        """The logs of all servers and sentinels, to explain a failover that fails."""
        parts = [("server", each) for each in self.servers] + [("sentinel", each) for each in self.sentinels]
        return "\n".join(f"{what} on port {each.port}:\n{each.log}" for what, each in parts)

    def _server(self, replica_of: RedisProcess | None = None) -> RedisProcess:
        config = {"repl-diskless-sync-delay": "0"}
        if self._password is not None:
            config["masterauth"] = quoted(self._password)
        if replica_of is not None:
            config["replicaof"] = f"127.0.0.1 {replica_of.port}"
        return self._running.enter_context(RedisProcess(self._binary, password=self._password, config=config))

    def _sentinel(self, master: RedisProcess) -> RedisProcess:
        quorum = self._count // 2 + 1
        config = {
            "sentinel monitor": f"{self.service} 127.0.0.1 {master.port} {quorum}",
            "sentinel down-after-milliseconds": f"{self.service} {round(self._down_after * 1000)}",
            "sentinel failover-timeout": f"{self.service} 3000",
        }
        if self._password is not None:
            config["sentinel auth-pass"] = f"{self.service} {quoted(self._password)}"
        if self._sentinel_password is not None:
            config["sentinel sentinel-pass"] = quoted(self._sentinel_password)
        process = RedisProcess(self._binary, password=self._sentinel_password, config=config, arguments=["--sentinel"])
        sentinel = self._running.enter_context(process)
        sentinel.command("SENTINEL", "DEBUG", *(word for period in _SENTINEL_PERIODS.items() for word in period))
        return sentinel

    def _named(self, sentinel: RedisProcess) -> int:
        _host, port = sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
        return int(port)

    def _knows_all(self, sentinel: RedisProcess) -> bool:
        flat = sentinel.command("SENTINEL", "MASTER", self.service)
        known = dict(zip(flat[::2], flat[1::2], strict=True))
        others, replicas = int(known["num-other-sentinels"]), int(known["num-slaves"])
        return others == self._count - 1 and replicas == self._replicas and known["flags"] == "master"

    @staticmethod
    def _wait(predicate: Any, what: str) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while not predicate():
            if time.monotonic() > deadline:
                raise ConfigError(f"within {_START_TIMEOUT:g} s it is not so that {what}")
            time.sleep(_POLL_INTERVAL)


def _role(server: RedisProcess) -> list[Any]:
    role: list[Any] = server.command("ROLE")
    return role
