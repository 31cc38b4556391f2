"""A worker of ``crosswire serve``, in its own process: ``python -m crosswire.cli.workers.worker DESCRIPTOR``."""

from __future__ import annotations

import logging
import os
import re
import sys

from crosswire.cli.cluster_options import redis_of
from crosswire.cli.failures import INTERRUPTED, RUNTIME, USAGE, CommandFailed, described
from crosswire.cli.target import call_function, load_application, load_server
from crosswire.cli.workers.link import Assignment, Listening, Started, StartRefused, WorkerLink
from crosswire.cluster.memory import MemoryBus
from crosswire.cluster.redis.options import Redis
from crosswire.errors import CrosswireError
from crosswire.runtime.shared_metrics import METRICS_DIRECTORY
from crosswire.server.server import Server

_GENERATED_NAME = re.compile(r"node-[0-9a-f]{8}")
"""Generated name of a node, which differs in every process."""


def main(descriptor: str, *_shown: str) -> int:
    """Run the server that the supervisor at the other end of a socket names; return the exit code.

    Args:
        descriptor: file descriptor of the socket.
        _shown: words that show up in a list of processes.
    """
    link = WorkerLink(int(descriptor))
    assignment = link.assignment()
    link.end_with_supervisor()
    try:
        link.report(Started())
        _serve(assignment, link)
    except CommandFailed as failure:
        return _refuse(link, failure.text, failure.exit_code)
    except CrosswireError as error:
        return _refuse(link, described(error), RUNTIME)
    except SystemExit as end:
        if not isinstance(end.__cause__, CrosswireError):
            raise
        return _refuse(link, described(end.__cause__), RUNTIME)  # the supervisor prints it, once for all workers
    except KeyboardInterrupt:  # before the server ran
        return INTERRUPTED
    return 0


def _serve(assignment: Assignment, link: WorkerLink) -> None:
    if assignment.metrics_directory is not None:
        os.environ.setdefault(METRICS_DIRECTORY, assignment.metrics_directory)
    if assignment.prepare is not None:
        call_function(assignment.prepare)
    server = load_server(assignment.target)
    own = server.cluster.bus
    server.configure(
        name=f"{_base_name(assignment, server)}-{assignment.number}",
        host=assignment.host,
        port=assignment.port,
        redis=redis_of(assignment.redis, assignment.prefix, own if isinstance(own, Redis) else None),
        reuse_port=True if assignment.shares_port else None,
        app=None if assignment.app is None else load_application(assignment.app),
        tls=None if assignment.tls is None else assignment.tls.load(),
    )
    if assignment.workers > 1:
        server.on_start(lambda: _require_shared_bus(server, assignment.workers))
    server.on_listening(lambda: link.report(Listening(server.name, server.port, server.reloads)))

    # All workers write to the same terminal or file, so each line has the name of its worker.
    name = server.name.replace("%", "%%")
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s %(levelname)s {name} %(name)s: %(message)s")
    server.run(drain=assignment.drain)


def _base_name(assignment: Assignment, server: Server) -> str:
    if assignment.name is not None:
        return assignment.name
    if not _GENERATED_NAME.fullmatch(server.name):
        return server.name
    return assignment.target.partition(":")[0].rpartition(".")[2]


def _require_shared_bus(server: Server, workers: int) -> None:
    """Refuse to start several servers that do not know each other, or can't share their address."""
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
