"""Which cluster a command is about: the options that name it, the same for all commands."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Collection
from dataclasses import replace

from crosswire.cli.failures import USAGE, CommandFailed
from crosswire.cluster.compat import Compat
from crosswire.cluster.redis.application import EMBEDDED, application_of, is_embedded
from crosswire.cluster.redis.options import Redis
from crosswire.errors import ConfigError

VARIABLE = "CROSSWIRE_REDIS"
_BETWEEN = re.compile(rf",\s*(?=[a-z+]+://|{EMBEDDED}|$)", re.IGNORECASE)
"""A comma between two URLs; one that names several sentinels has commas of its own."""
_FORMATS = ("msgpack", "json")


def add_cluster_options(parser: argparse.ArgumentParser, *, serves: bool) -> None:
    """Let a command take them.

    Args:
        parser: of the command.
        serves: whether it runs a server, which knows itself how to speak.
    """
    group = parser.add_argument_group("cluster")
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        "--redis",
        metavar="URL",
        action="append",
        help="a Redis or Valkey, such as redis://10.0.0.1:6379; say it again for each of several "
        f"(default: the URLs in the environment variable {VARIABLE}, separated by commas)",
    )
    where.add_argument(
        "--embedded",
        action="store_true",
        help="a private Valkey of what is started in this folder; for one that several share, --redis embedded:NAME",
    )
    group.add_argument(
        "--prefix", metavar="TEXT", help="of the names of all channels, where clusters share a Redis (default: cw:)"
    )
    if not serves:
        group.add_argument(
            "--compat",
            metavar="FORMAT",
            choices=_FORMATS,
            help="the cluster has Redis(compat=), as with original servers: json if it has Compat(compress=False)",
        )


def chosen_urls(options: argparse.Namespace) -> tuple[str, ...]:
    """The Redis that the options name, or else the environment; none if neither does.

    Raises:
        CommandFailed: there is a prefix and no Redis to use it on.
    """
    given = [EMBEDDED] if options.embedded else options.redis or _BETWEEN.split(os.environ.get(VARIABLE, ""))
    urls = tuple(_placed(url.strip(), options) for url in given if url.strip())
    if options.prefix is not None and not urls:
        raise CommandFailed(f"--prefix is for a Redis: give --redis URL or --embedded too, or set {VARIABLE}", USAGE)
    return urls


def _placed(url: str, options: argparse.Namespace) -> str:
    """A url that still means the same when the application has changed the current folder."""
    try:
        return application_of(url) if is_embedded(url) else url
    except ConfigError as error:
        raise _bad(options, error) from error


def checked_redis(options: argparse.Namespace) -> Redis | None:
    """The bus that the options or the environment name, if they do.

    Raises:
        CommandFailed: a URL or the prefix can't be used; it says where that is written.
    """
    urls = chosen_urls(options)
    try:
        redis_of(urls, None)
    except ConfigError as error:
        raise _bad(options, error) from error
    try:
        return redis_of(urls, options.prefix)
    except ConfigError as error:
        raise CommandFailed(f"--prefix: {error}", USAGE) from error


def _bad(options: argparse.Namespace, error: ConfigError) -> CommandFailed:
    """Say which option, or that the environment variable, names what is no Redis."""
    where = "--embedded" if options.embedded else "--redis" if options.redis else f"the environment variable {VARIABLE}"
    return CommandFailed(f"{where}: {str(error).removeprefix('Redis(urls), ')}", USAGE)


def redis_of(urls: Collection[str], prefix: str | None, own: Redis | None = None) -> Redis | None:
    """The bus that these make, if there are any.

    Args:
        urls: of the Redis.
        prefix: of the channels; None for the own bus' or the default.
        own: the bus of a server that gets this one instead; its other options are kept.

    Raises:
        ConfigError: a URL or the prefix can't be used.
    """
    if not urls:
        return None
    own = Redis(urls) if own is None else own
    return replace(own, urls=urls, prefix=own.prefix if prefix is None else prefix)


def cluster_of(options: argparse.Namespace) -> Redis:
    """The bus of the cluster that a command joins.

    Raises:
        CommandFailed: none is named, or what is named can't be used.
    """
    redis = checked_redis(options)
    if redis is None:
        raise CommandFailed(f"which cluster? Give --redis URL or --embedded, or set {VARIABLE}", USAGE)
    return redis if options.compat is None else replace(redis, compat=Compat(compress=options.compat == "msgpack"))
