"""The options of a bus of Redis."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, Literal, get_args

from crosswire.cluster.compat import Compat
from crosswire.cluster.interface import PortEvents
from crosswire.cluster.redis.address import parse
from crosswire.cluster.redis.application import application_of, is_embedded
from crosswire.cluster.redis.port import RedisPort
from crosswire.cluster.send_buffer import Budget, Overflow
from crosswire.core.options import require_bool, require_count, require_one_of, require_seconds
from crosswire.core.signing import require_secrets
from crosswire.core.utf8 import has_utf8
from crosswire.errors import ConfigError

MAX_PREFIX = 100
"""Characters of a prefix."""

Strategy = Literal["hash", "round-robin", "random", "fastest"]
Delivery = Literal["fast", "redundant"]


@dataclass(frozen=True, repr=False)
class Redis:
    """Connects nodes through one or several independent Redis or Valkey servers. Its ``repr`` shows no password.

    Every node listens on all servers, and publishes each message on a server that all nodes listen on. A server that
    does not answer is left out at once. Messages that it did not acknowledge are published on another server.

    Args:
        urls: one, or several: ``redis://[user[:password]@]host[:port][/db]``, ``rediss://`` for TLS (with the query
            options ``ssl_ca_certs``, ``ssl_certfile``, ``ssl_keyfile``, ``ssl_cert_reqs=none`` and
            ``ssl_check_hostname=false``), ``unix:///path``, or
            ``redis+sentinel://[user[:password]@]host:26379,host:26379/service[/db]`` with the query options
            ``sentinel_user`` and ``sentinel_password``. "embedded" is a private Valkey of the application that is
            started in this folder, "embedded:NAME" of all on this machine that give the name. Give all nodes the same
            urls.
        strategy: the choice of the server for a message. "hash": by its channel, so all messages of a room take the
            same path; "round-robin": in turn; "random"; "fastest": the server whose last probe came back soonest.
            Messages for original servers always use "hash", as these servers can't restore an order.
        delivery: "fast", or "redundant": publish each message on two servers, so that no message is lost when one dies;
            receivers drop duplicates.
        prefix: of the names of all channels; different for clusters that share a Redis.
        ping_interval: seconds between the probes of a Redis, which are messages of a node to itself.
        ping_timeout: seconds that a probe may take to come back while nothing else arrives. After that the Redis counts
            as unhealthy.
        compat: speak the protocol of websocket-cross-server-adapter too, as servers of it are in the cluster. True, or
            :class:`~crosswire.Compat` with its options.
        auto_unsubscribe: whether a node unsubscribes from a channel that it does not need any more. If not, it drops
            the messages of the channel, which is less work if rooms come and go quickly.
        buffer: bytes of messages that may wait: to be acknowledged, or, while no Redis can be reached, to be published.
        overflow: the policy for a message that does not fit into the buffer: "drop" drops and counts it, "raise" raises
            ``BusUnavailable``.
        secret: text or bytes, 16 bytes at least: messages are signed with it, and only signed ones are taken. During a
            change, a list: the first one signs, all are accepted. Give all nodes and emitters the same.

    Raises:
        ConfigError: an option can't be used; the text says what to change.

    Example::

        server = Server(redis=Redis(["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"], delivery="redundant"))
    """

    urls: str | Collection[str]
    _: KW_ONLY
    strategy: Strategy = "hash"
    delivery: Delivery = "fast"
    prefix: str = "cw:"
    ping_interval: float = 0.5
    ping_timeout: float = 0.75
    compat: bool | Compat = False
    auto_unsubscribe: bool = True
    buffer: int = 16 * 1024 * 1024
    overflow: Overflow = "drop"
    secret: str | bytes | Collection[str | bytes] | None = None

    def __post_init__(self) -> None:
        _check_urls(self.urls)
        if any(is_embedded(url) for url in self.all_urls):
            # Resolved now: the process may change its folder before the node starts.
            urls = tuple(application_of(url) if is_embedded(url) else url for url in self.all_urls)
            object.__setattr__(self, "urls", urls)
        require_one_of("Redis(strategy)", self.strategy, get_args(Strategy))
        require_one_of("Redis(delivery)", self.delivery, get_args(Delivery))
        require_one_of("Redis(overflow)", self.overflow, get_args(Overflow))
        for name in ("ping_interval", "ping_timeout"):
            require_seconds(f"Redis({name})", getattr(self, name))
        require_bool("Redis(auto_unsubscribe)", self.auto_unsubscribe)
        if not isinstance(self.compat, bool | Compat):
            raise ConfigError(f"Redis(compat={self.compat!r}): give True or False, or Compat() with its options")
        _check_prefix(self.prefix)
        require_count("Redis(buffer)", self.buffer)
        object.__setattr__(self, "secret", require_secrets("Redis(secret)", self.secret) or None)
        if self.compat and self.secret:
            raise ConfigError("Redis(secret, compat): original servers can't sign messages, so leave out one of them")
        if self.compat and self.delivery == "redundant":
            raise ConfigError(
                "Redis(delivery='redundant', compat=True): original servers can't drop duplicates, "
                "so use delivery='fast'"
            )
        if self.delivery == "redundant" and len(self.all_urls) < 2:
            raise ConfigError("Redis(delivery='redundant') publishes on two: give two urls or more, or delivery='fast'")

    @property
    def all_urls(self) -> tuple[str, ...]:
        """The urls as a tuple, even if only one was given."""
        return (self.urls,) if isinstance(self.urls, str) else tuple(self.urls)

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The secrets as bytes; empty if messages are not signed."""
        return require_secrets("Redis(secret)", self.secret)

    @property
    def compat_options(self) -> Compat | None:
        """The options of ``compat``, or None if it is off."""
        if isinstance(self.compat, Compat):
            return self.compat
        return Compat() if self.compat else None

    def attach(self, events: PortEvents, name: str, origin: bytes, budget: Budget) -> RedisPort:
        """Make the port of a node; see :class:`~crosswire.cluster.interface.Bus`."""
        return RedisPort(self, events, name, origin, budget)

    def __repr__(self) -> str:
        shown = [url if is_embedded(url) else parse(url).shown for url in self.all_urls]
        others = [
            f"{each.name}={getattr(self, each.name)!r}"
            for each in fields(self)
            if each.name not in ("urls", "secret") and getattr(self, each.name) != each.default
        ]
        secret = ["secret=..."] if self.secret else []
        return f"Redis({', '.join([repr(shown), *others, *secret])})"


def _check_urls(urls: object) -> None:
    if isinstance(urls, bytes) or not isinstance(urls, str | Collection):
        raise ConfigError(f"Redis(urls): give a url or a list of them, not {type(urls).__name__}")
    seen: set[str] = set()
    for index, url in enumerate([urls] if isinstance(urls, str) else urls):
        try:
            id, shown = _named(url)
        except ConfigError as error:
            raise ConfigError(f"Redis(urls), number {index + 1}: {error}") from None
        if id in seen:
            raise ConfigError(f"Redis(urls): {shown} is there twice; each must be a server of its own")
        seen.add(id)
    if not seen:
        raise ConfigError("Redis(urls): give at least one, such as 'redis://127.0.0.1:6379'")


def _named(url: Any) -> tuple[str, str]:
    if is_embedded(url):
        application = application_of(url)
        return application, application
    address = parse(url)
    return address.id, address.shown


def _check_prefix(prefix: object) -> None:
    if not isinstance(prefix, str) or not prefix or not has_utf8(prefix):
        raise ConfigError(f"Redis(prefix={prefix!r}): give a string that is not empty and has a UTF-8 form")
    if not prefix.isprintable() or " " in prefix or len(prefix) > MAX_PREFIX:
        raise ConfigError(
            f"Redis(prefix={prefix!r}): give at most {MAX_PREFIX} characters that can be printed, without spaces"
        )
