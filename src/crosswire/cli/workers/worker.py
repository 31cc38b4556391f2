"""One worker of ``crosswire serve``, a process of its own: ``python -m crosswire.cli.workers.worker DESCRIPTOR``."""

from __future__ import annotations

import logging
import re
import sys

from crosswire.cli.clusters import redis_of
from crosswire.cli.failures import INTERRUPTED, RUNTIME, USAGE, CommandFailed, described
from crosswire.cli.target import load_server
from crosswire.cli.workers.link import Assignment, Begun, Listening, StartRefused, WorkerLink
from crosswire.cluster.memory import MemoryBus
from crosswire.cluster.redis.options import Redis
from crosswire.errors import CrosswireError
from crosswire.server.server import Server

_MADE_UP = re.compile(r"node-[0-9a-f]{8}")
"""A name that a node without one gives itself: another one in every process."""


def main(descriptor: str, *_shown: str) -> int:
    """Run the server that the supervisor at the other end of a socket wants; return the exit code.

    Args:
        descriptor: of the socket.
        _shown: for whoever lists the processes.
    """
    link = WorkerLink(int(descriptor))
    assignment = link.assignment()
    link.end_with_supervisor()
    try:
        link.report(Begun())
        _serve(assignment, link)
    except CommandFailed as failure:
        return _refuse(link, failure.text, failure.exit_code)
    except CrosswireError as error:
        return _refuse(link, described(error), RUNTIME)
    except SystemExit as end:
        if not isinstance(end.__cause__, CrosswireError):
            raise
        return _refuse(link, described(end.__cause__), RUNTIME)  # which the supervisor says, once for all workers
    except KeyboardInterrupt:  # it came before the server ran
        return INTERRUPTED
    return 0


def _serve(assignment: Assignment, link: WorkerLink) -> None:
    server = load_server(assignment.target)
    own = server.cluster.bus
    server.configure(
        name=f"{_base_name(assignment, server)}-{assignment.number}",
        host=assignment.host,
        port=assignment.port,
        redis=redis_of(assignment.redis, assignment.prefix, own if isinstance(own, Redis) else None),
        reuse_port=True if assignment.shares_port else None,
    )
    if assignment.workers > 1:
        server.on_start(lambda: _require_company(server, assignment.workers))
    server.on_listening(lambda: link.report(Listening(server.name, server.port)))

    # All workers write to the same terminal or file.
    who = server.name.replace("%", "%%")
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s %(levelname)s {who} %(name)s: %(message)s")
    server.run(drain=assignment.drain)


def _base_name(assignment: Assignment, server: Server) -> str:
    if assignment.name is not None:
        return assignment.name
    if not _MADE_UP.fullmatch(server.name):
        return server.name
    return assignment.target.partition(":")[0].rpartition(".")[2]


def _require_company(server: Server, workers: int) -> None:
    """Refuse to be one of several servers that know nothing of each other, or can't share their address."""
    if server.port == 0:
        raise CommandFailed(
            f"{workers} workers can't share a Unix socket: give --host and --port, or --workers 1", USAGE
        )
    if server.cluster.bus is None or isinstance(server.cluster.bus, MemoryBus):
        raise CommandFailed(
            f"{workers} workers need a Redis between them to act as one: give --redis URL or --embedded", USAGE
        )


def _refuse(link: WorkerLink, text: str, exit_code: int) -> int:
    link.report(StartRefused(text, exit_code))
    return exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
