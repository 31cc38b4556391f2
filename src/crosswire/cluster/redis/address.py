"""Parsing of the URL of a Redis."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from crosswire.core.options import suggestion
from crosswire.errors import ConfigError

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379

_FORMS = (
    "redis://[user[:password]@]host[:port][/db], rediss://... for TLS, unix://[user:password@]/path[?db=N], or "
    "redis+sentinel://[user[:password]@]host[:port],host[:port]/service[/db]"
)
_SENTINEL = ("redis+sentinel", "rediss+sentinel")
_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\s:\[\],]+))(?::([0-9]{1,5}))?")
_SCHEMES = ("redis", "rediss", "unix", *_SENTINEL)
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")


@dataclass(frozen=True, slots=True)
class Tls:
    """Options of TLS. Their names in a URL are those of redis-py.

    Attributes:
        ca_certs: file of the authorities that are trusted (``ssl_ca_certs``); None for the system's.
        certfile: file of the client's certificate (``ssl_certfile``), or None.
        keyfile: file of its key (``ssl_keyfile``), or None if it is in the same file.
        verify: whether the server needs a certificate that is trusted (``ssl_cert_reqs``: required or none).
        check_hostname: whether its certificate must be for the host of the URL (``ssl_check_hostname``).
    """

    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    verify: bool = True
    check_hostname: bool = True

    def context(self) -> ssl.SSLContext:
        """Load the files into a context.

        Raises:
            ConfigError: a file can't be read.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_certs)
            if self.certfile is not None:
                context.load_cert_chain(self.certfile, self.keyfile)
        except (OSError, ssl.SSLError) as error:
            named = ", ".join(filter(None, (self.ca_certs, self.certfile, self.keyfile)))
            raise ConfigError(f"the TLS files {named} can't be used: {error}") from error
        context.check_hostname = self.verify and self.check_hostname
        context.verify_mode = ssl.CERT_REQUIRED if self.verify else ssl.CERT_NONE
        return context


class Place(NamedTuple):
    """Host and port of a server.

    Attributes:
        host: name or IP address.
        port: TCP port.
    """

    host: str
    port: int

    @property
    def shown(self) -> str:
        """Host and port as text, ``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, repr=False)
class SentinelService:
    """A Redis whose master is found with sentinels.

    Attributes:
        name: the name of the service.
        places: host and port of each sentinel.
        user: the user for the sentinels (``sentinel_user``); None for the default one.
        password: the password for the sentinels (``sentinel_password``); None to not authenticate.
    """

    name: str
    places: tuple[Place, ...]
    user: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """The address of a Redis, with credentials; made by :func:`parse`. Its ``repr`` shows no password.

    Attributes:
        url: the parsed URL, with the password.
        host: name or IP address; empty for a Unix socket.
        port: TCP port.
        path: of a Unix socket; empty for TCP.
        db: number of the database. Channels don't depend on it, but an ACL may.
        user: the user; None for the default one.
        password: the password; None to not authenticate.
        tls: the options of TLS; None for plain TCP.
        service: the service that sentinels are asked for, instead of ``host`` and ``port``; or None.
        alias: the name that is shown instead of the URL, or None.
    """

    url: str
    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    db: int = 0
    user: str | None = None
    password: str | None = None
    tls: Tls | None = None
    service: SentinelService | None = None
    alias: str | None = None

    @property
    def id(self) -> str:
        """The name of the Redis, the same on every node: ``host:port``, ``unix:/path`` or ``sentinel:service``."""
        if self.service is not None:
            return f"sentinel:{self.service.name}"
        return f"unix:{self.path}" if self.path else Place(self.host, self.port).shown

    @property
    def shown(self) -> str:
        """The URL without credentials, or the alias."""
        if self.alias is not None:
            return self.alias
        if self.path:
            return f"unix://{self.path}" + (f"?db={self.db}" if self.db else "")
        scheme = "redis" if self.tls is None else "rediss"
        db = f"/{self.db}" if self.db else ""
        if self.service is None:
            return f"{scheme}://{Place(self.host, self.port).shown}{db}"
        places = ",".join(place.shown for place in self.service.places)
        return f"{scheme}+sentinel://{places}/{quote(self.service.name, safe='')}{db}"

    def __repr__(self) -> str:
        return f"<Address {self.shown}>"


def parse(url: str) -> Address:
    """Parse the URL of a Redis.

    Args:
        url: ``redis://[user[:password]@]host[:port][/db]``; ``rediss://`` the same over TLS, with the query options
            of :class:`Tls`; ``unix://[user:password@]/path[?db=N]``;
            ``redis+sentinel://[user[:password]@]host[:port],.../service[/db]`` with the sentinels' hosts, and the query
            options of :class:`SentinelService`. User, password, path and service are percent-decoded.

    Raises:
        ConfigError: the URL can't be used; the text gives the reason and never quotes a possible password.
    """
    if not isinstance(url, str):
        raise ConfigError(f"the url of a Redis must be a string, not {type(url).__name__}")
    # urlsplit silently drops some of these, so that the host would be another.
    if any(ord(character) <= 0x20 or ord(character) == 0x7F for character in url):
        raise ConfigError("the url of a Redis contains a space or a control character: percent-encode it")
    if url.partition("://")[0].lower() in _SENTINEL:
        return _sentinel(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text quotes the URL
        raise _unreadable("its host or port can't be read; percent-encode a user's or password's / ? # @ :") from None
    if "#" in url:
        raise _unreadable("it has a fragment: percent-encode '#' as %23")
    if parts.scheme not in ("redis", "rediss", "unix"):
        forms = "redis://, rediss://, unix:// or redis+sentinel://"
        raise _unreadable(f"it does not begin with {forms}{_meant(url, parts.scheme)}")
    if port == 0:
        raise _unreadable("nothing listens on port 0")
    return _unix(url, parts) if parts.scheme == "unix" else _tcp(url, parts, port)


def _meant(url: str, scheme: str) -> str:
    """Return a suggestion for a URL with an unknown scheme, which is not quoted."""
    bare = "://" not in url
    if near := suggestion(url.partition(":")[0], ("embedded",)) if bare else suggestion(scheme, _SCHEMES):
        return f".{near}"
    return "; write one of these in front" if bare else ""


def _tcp(url: str, parts: SplitResult, port: int | None) -> Address:
    if not parts.hostname:
        raise _unreadable("it has no host")
    options = _options(parts, (*_TLS_OPTIONS, "db") if parts.scheme == "rediss" else ("db",))
    path = parts.path.removeprefix("/")
    if path and "db" in options:
        raise _unreadable("it names the database twice")
    return Address(
        url=url,
        host=parts.hostname,
        port=DEFAULT_PORT if port is None else port,
        db=_number(path or options.pop("db", "0")),
        user=_decoded(parts.username),
        password=_password(parts),
        tls=_tls(options) if parts.scheme == "rediss" else None,
    )


def _sentinel(url: str) -> Address:
    if "#" in url:
        raise _unreadable("it has a fragment: percent-encode '#' as %23")
    scheme, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    service, _, db = path.partition("/")
    if not service:
        raise _unreadable("it names no service: redis+sentinel://host:26379/service")
    tls = scheme.lower() == "rediss+sentinel"
    known = ("sentinel_user", "sentinel_password", *(_TLS_OPTIONS if tls else ()))
    options = _known_options(scheme, query, known)
    return Address(
        url=url,
        db=_number(db or "0"),
        user=_decoded(user),
        password=_decoded(password) or ("" if user else None),
        tls=_tls(options) if tls else None,
        service=SentinelService(
            unquote(service),
            tuple(dict.fromkeys(_place(host) for host in hosts.split(","))),
            options.get("sentinel_user") or None,
            options.get("sentinel_password") or ("" if options.get("sentinel_user") else None),
        ),
    )


def _place(text: str) -> Place:
    found = _PLACE.fullmatch(text)
    if found is None or (found[3] and not 0 < int(found[3]) <= 65535):
        raise _unreadable("a sentinel's host or port can't be read; percent-encode a password's / ? # @ : ,")
    return Place((found[1] or found[2]).lower(), int(found[3] or SENTINEL_PORT))


def _unix(url: str, parts: SplitResult) -> Address:
    host = parts.netloc.rpartition("@")[2]
    if host or not parts.path.startswith("/") or parts.path == "/":
        raise _unreadable("the path of a Unix socket begins with a slash: unix:///run/redis.sock")
    options = _options(parts, ("db",))
    return Address(
        url=url,
        path=unquote(parts.path),
        db=_number(options.get("db", "0")),
        user=_decoded(parts.username),
        password=_password(parts),
    )


def _options(parts: SplitResult, known: tuple[str, ...]) -> dict[str, str]:
    return _known_options(parts.scheme, parts.query, known)


def _known_options(scheme: str, query: str, known: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            # An unknown name may be a part of a password whose '?' was not encoded.
            raise _unreadable(f"it has an option that {scheme}:// does not know: use {', '.join(known)}")
        if name in found:
            raise _unreadable(f"it gives {name} twice")
        found[name] = value
    return found


def _tls(options: dict[str, str]) -> Tls:
    return Tls(
        ca_certs=options.get("ssl_ca_certs") or None,
        certfile=options.get("ssl_certfile") or None,
        keyfile=options.get("ssl_keyfile") or None,
        verify=_one_of(options, "ssl_cert_reqs", {"required": True, "none": False}),
        check_hostname=_one_of(options, "ssl_check_hostname", {"true": True, "false": False}),
    )


def _one_of(options: dict[str, str], name: str, meanings: dict[str, bool]) -> bool:
    value = options.get(name)
    if value is None:
        return True
    if (meaning := meanings.get(value.lower())) is None:
        raise _unreadable(f"{name} must be {' or '.join(meanings)}")
    return meaning


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise _unreadable("the database must be a number: redis://host:port/0")
    return int(text)


def _decoded(text: str | None) -> str | None:
    return unquote(text) if text else None


def _password(parts: SplitResult) -> str | None:
    # A user without a password logs in too, as an ACL may accept any password (``nopass``).
    return _decoded(parts.password) or ("" if parts.username else None)


def _unreadable(why: str) -> ConfigError:
    end = "" if why.endswith("?") else "."
    return ConfigError(f"the url of a Redis can't be used: {why}{end} It is {_FORMS}")
