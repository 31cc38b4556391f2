"""``crosswire serve``: a server in one or more processes."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
from contextlib import ExitStack, suppress
from tempfile import TemporaryDirectory

from crosswire.cli.cluster_options import checked_redis, chosen_urls
from crosswire.cli.failures import USAGE, CommandFailed
from crosswire.cli.tls_options import chosen_tls
from crosswire.cli.workers.kept_worker import KeptWorker
from crosswire.cli.workers.link import Assignment
from crosswire.cli.workers.supervisor import Supervisor
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.shared_metrics import METRICS_DIRECTORY

logger = get_logger("crosswire.serve")


def serve(options: argparse.Namespace) -> int:
    """Serve until a signal; return the exit code.

    Raises:
        CommandFailed: the application or an option can't be used, or a worker had to be killed.
    """
    if sys.platform == "win32":
        raise CommandFailed("serve needs a POSIX system: on Windows, call run() of your Server", USAGE)
    urls = chosen_urls(options)
    checked_redis(options)  # fail before anything runs
    tls = chosen_tls(options)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with ExitStack() as held:
        port = options.port
        if port == 0:
            port = held.enter_context(_held_port()).getsockname()[1]
        metrics = _metrics_directory(held) if options.workers > 1 else None
        assignments = [
            Assignment(
                target=options.target,
                app=options.app,
                number=number,
                workers=options.workers,
                name=options.name,
                host=options.host,
                port=port,
                redis=urls,
                prefix=options.prefix,
                # A single worker does not share its port, so that a second start by mistake fails.
                shares_port=options.workers > 1 or options.port == 0,
                drain=options.drain,
                metrics_directory=metrics,
                prepare=options.prepare,
                tls=tls,
            )
            for number in range(1, options.workers + 1)
        ]
        asyncio.run(_supervise(assignments, options.drain))
    return 0


async def _supervise(assignments: list[Assignment], drain: float) -> None:
    await Supervisor([KeptWorker(each) for each in assignments], drain).run()


def _metrics_directory(held: ExitStack) -> str | None:
    """Make a directory in which the workers share their metrics; None if one is named already, or none can be made."""
    if METRICS_DIRECTORY in os.environ:
        return None
    try:
        return held.enter_context(TemporaryDirectory(prefix="crosswire-metrics-"))
    except OSError as error:  # such as a file system that is read-only
        logger.warning(
            "there is no place for a temporary directory, so /metrics tells of one worker alone: name one in %s (%s)",
            METRICS_DIRECTORY,
            error,
        )
        return None


def _held_port() -> socket.socket:
    """Bind a free port, without listening on it, for workers that listen on any address.

    While the socket is open, nobody else gets the port, even if no worker is alive.
    """
    with suppress(OSError):  # there may be no IPv6
        return _bound(socket.AF_INET6)
    return _bound(socket.AF_INET)


def _bound(family: socket.AddressFamily) -> socket.socket:
    held = socket.socket(family)
    try:
        if family == socket.AF_INET6:
            held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("", 0))
    except BaseException:
        held.close()
        raise
    return held
