"""Options that name a cluster, the same for all commands."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from crosswire.cli.failures import USAGE, CommandFailed
from crosswire.cluster.compat import Compat
from crosswire.cluster.redis.application import EMBEDDED, application_of, is_embedded
from crosswire.cluster.redis.options import Redis
from crosswire.errors import ConfigError

VARIABLE = "CROSSWIRE_REDIS"
"""Environment variable with the URLs of the Redis."""
SECRET = "CROSSWIRE_SECRET"
"""Environment variable with the secret of the bus, or several, separated by spaces. Everybody can see arguments."""
SECRET_FILE = "CROSSWIRE_SECRET_FILE"
"""Environment variable with the path of a file that has them."""
_URL_SEPARATOR = re.compile(rf",\s*(?=[a-z+]+://|{EMBEDDED}|$)", re.IGNORECASE)
"""A comma between two URLs; a URL of several sentinels contains commas too."""
_FORMATS = ("msgpack", "json")


def add_cluster_options(parser: argparse.ArgumentParser, *, serves: bool) -> None:
    """Add the options to the parser of a command.

    Args:
        parser: parser of the command.
        serves: whether the command runs a server, whose own ``Redis`` says whether it uses ``compat``.
    """
    group = parser.add_argument_group("cluster")
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        "--redis",
        metavar="URL",
        action="append",
        help="a Redis or Valkey, such as redis://10.0.0.1:6379; repeat it for each of several "
        f"(default: the URLs in the environment variable {VARIABLE}, separated by commas)",
    )
    where.add_argument(
        "--embedded",
        action="store_true",
        help="the private Valkey of this folder; for one that several folders share, --redis embedded:NAME",
    )
    group.add_argument(
        "--prefix", metavar="TEXT", help="of all channels, for clusters that share a Redis (default: cw:)"
    )
    group.add_argument(
        "--secret-file",
        metavar="PATH",
        help="a file with the secret of Redis(secret=...), or during a change several, one a line "
        f"(default: the environment variables {SECRET_FILE} and {SECRET})",
    )
    if not serves:
        group.add_argument(
            "--compat",
            metavar="FORMAT",
            choices=_FORMATS,
            help="for a cluster with Redis(compat=...): json if it has Compat(compress=False), else msgpack",
        )


def chosen_urls(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the URLs that the options name, or if they name none, the environment.

    Raises:
        CommandFailed: there is a prefix, but no Redis.
    """
    given = [EMBEDDED] if options.embedded else options.redis or _URL_SEPARATOR.split(os.environ.get(VARIABLE, ""))
    urls = tuple(_absolute_url(url.strip(), options) for url in given if url.strip())
    if options.prefix is not None and not urls:
        raise CommandFailed(f"--prefix is for a Redis: give --redis URL or --embedded too, or set {VARIABLE}", USAGE)
    return urls


def _absolute_url(url: str, options: argparse.Namespace) -> str:
    """Return a URL that means the same after the application has changed the current folder."""
    try:
        return application_of(url) if is_embedded(url) else url
    except ConfigError as error:
        raise _failure(options, error) from error


def checked_redis(options: argparse.Namespace) -> Redis | None:
    """Return the bus that the options or the environment name, or None.

    Raises:
        CommandFailed: a URL or the prefix can't be used; the text says where it was given.
    """
    urls = chosen_urls(options)
    if options.secret_file is not None:
        os.environ[SECRET_FILE] = str(Path(options.secret_file).absolute())  # for the workers too
    try:
        secret_of_environment()
    except ConfigError as error:
        raise CommandFailed(str(error), USAGE) from error
    try:
        redis_of(urls, None)
    except ConfigError as error:
        raise _failure(options, error) from error
    try:
        return redis_of(urls, options.prefix)
    except ConfigError as error:
        raise CommandFailed(f"--prefix: {error}", USAGE) from error


def _failure(options: argparse.Namespace, error: ConfigError) -> CommandFailed:
    """Return the failure for a bad URL, with the option or environment variable that it is from."""
    where = "--embedded" if options.embedded else "--redis" if options.redis else f"the environment variable {VARIABLE}"
    return CommandFailed(f"{where}: {str(error).removeprefix('Redis(urls), ')}", USAGE)


def redis_of(urls: Collection[str], prefix: str | None, own: Redis | None = None) -> Redis | None:
    """Return a bus with these URLs, or None if there are none.

    Args:
        urls: URLs of the Redis.
        prefix: prefix of the channels; None for that of ``own``, or the default.
        own: the server's own bus, whose other options are kept.

    Raises:
        ConfigError: a URL or the prefix can't be used.
    """
    if not urls:
        return None
    own = Redis(urls) if own is None else own
    secret = secret_of_environment() or own.secret
    return replace(own, urls=urls, prefix=own.prefix if prefix is None else prefix, secret=secret)


def secret_of_environment() -> list[str]:
    """Return the secrets that the environment gives, for the bus: none, one, or several during a change.

    Raises:
        ConfigError: their file can't be read.
    """
    path = os.environ.get(SECRET_FILE)
    if path is None:
        text = os.environ.get(SECRET, "")
    else:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ConfigError(f"the file of the secret can't be read: {path}: {error}") from error
        if not text.strip():
            raise ConfigError(f"the file of the secret is empty: {path}")
    return text.split()


def cluster_of(options: argparse.Namespace) -> Redis:
    """Return the bus of the cluster that a command joins.

    Raises:
        CommandFailed: there is none, or it can't be used.
    """
    redis = checked_redis(options)
    if redis is None:
        raise CommandFailed(f"no cluster is named: give --redis URL or --embedded, or set {VARIABLE}", USAGE)
    return redis if options.compat is None else replace(redis, compat=Compat(compress=options.compat == "msgpack"))
