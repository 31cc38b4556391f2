"""``manage.py runcrosswire``: serves the project's real-time server."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from crosswire.cli.arguments import add_serve_options
from crosswire.cli.cluster_options import add_cluster_options
from crosswire.cli.failures import CommandFailed
from crosswire.cli.serve import serve
from crosswire.django.project_settings import project_settings
from crosswire.django.reloading import serve_with_reload
from crosswire.errors import CrosswireError

_NO_SERVER = "CROSSWIRE in the settings names no server: add 'SERVER': 'chat.realtime:server', or give MODULE:SERVER"


class Command(BaseCommand):
    """Command that serves as ``crosswire serve`` does, in processes in which Django is set up."""

    help = (
        "Run the server that CROSSWIRE['SERVER'] names, in one or more processes that share a port. A process that "
        "dies is started again. SIGTERM drains them, Ctrl-C stops them at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options of ``crosswire serve``."""
        parser.add_argument("target", metavar="MODULE:SERVER", nargs="?", help="another server than the settings name")
        parser.add_argument(
            "--reload",
            action="store_true",
            help="for development: in one process, anew whenever the code changes",
        )
        add_serve_options(parser)
        add_cluster_options(parser, serves=True)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Serve the project until a signal ends it."""
        try:
            target = options["target"] or project_settings().server
            if target is None:
                raise CommandError(_NO_SERVER)
            if options["reload"]:
                _require_one_process(options)
                serve_with_reload(target, host=options["host"], port=options["port"], app=options["app"])
                return
            _let_workers_import_project(options["pythonpath"])
            code = serve(Namespace(**{**options, "target": target, "prepare": "django:setup"}))
        except CommandFailed as failure:
            raise CommandError(failure.text, returncode=failure.exit_code) from failure
        except CrosswireError as error:
            raise CommandError(str(error)) from error
        if code:
            sys.exit(code)


def _require_one_process(options: dict[str, Any]) -> None:
    """Refuse the options for several processes, and those that only a supervised process has."""
    supervised = ("name", "redis", "embedded", "prefix", "tls_certificate", "tls_key", "tls_client_ca")
    given = [option for option in supervised if options[option]]
    if options["workers"] > 1:
        given.insert(0, "workers")
    if given:
        option = given[0].replace("_", "-")
        raise CommandError(f"--{option} can't be given with --reload, which runs the server as it is in its module")


def _let_workers_import_project(python_path: str | None) -> None:
    """Add the folder of ``manage.py``, and ``--pythonpath``, to the path of the processes that are started."""
    folders = [os.path.abspath(folder) for folder in (python_path, sys.path[0]) if folder]
    if inherited := os.environ.get("PYTHONPATH"):
        folders.append(inherited)
    os.environ["PYTHONPATH"] = os.pathsep.join(folders)
