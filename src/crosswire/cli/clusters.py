"""Which cluster a command is about: the options that name it, the same for all commands."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Collection
from dataclasses import replace

from crosswire.cli.failures import USAGE, CommandFailed
from crosswire.cluster.redis.options import Redis

VARIABLE = "CROSSWIRE_REDIS"
EMBEDDED = "embedded"
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
        help="a private Valkey that the processes of this machine share; it starts when there is none",
    )
    group.add_argument(
        "--prefix", metavar="TEXT", help="of the names of all channels, where clusters share a Redis (default: cw:)"
    )
    if not serves:
        group.add_argument(
            "--compat",
            metavar="FORMAT",
            choices=_FORMATS,
            help="the cluster has Redis(compat=True), as with original servers: msgpack, or json with compress=False",
        )


def chosen_urls(options: argparse.Namespace) -> tuple[str, ...]:
    """The Redis that the options name, or else the environment; none if neither does.

    Raises:
        CommandFailed: there is a prefix and no Redis to use it on.
    """
    if options.embedded:
        return (EMBEDDED,)
    given = options.redis or _BETWEEN.split(os.environ.get(VARIABLE, ""))
    urls = tuple(url.strip() for url in given if url.strip())
    if options.prefix is not None and not urls:
        raise CommandFailed(f"--prefix is for a Redis: give --redis URL or --embedded too, or set {VARIABLE}", USAGE)
    return urls


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
        CommandFailed: none is named.
        ConfigError: a URL or the prefix can't be used.
    """
    redis = redis_of(chosen_urls(options), options.prefix)
    if redis is None:
        raise CommandFailed(f"which cluster? Give --redis URL or --embedded, or set {VARIABLE}", USAGE)
    return redis if options.compat is None else replace(redis, compat=True, compress=options.compat == "msgpack")
