"""Options of ``crosswire serve`` that name the files of a certificate."""

from __future__ import annotations

import argparse
from pathlib import Path

from crosswire.cli.failures import USAGE, CommandFailed
from crosswire.cli.workers.link import TlsPaths
from crosswire.errors import ConfigError


def add_tls_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the parser of a command that serves."""
    group = parser.add_argument_group("TLS")
    group.add_argument(
        "--tls-certificate",
        metavar="FILE",
        help="in PEM, with its chain; loaded again when it changes, or at a SIGHUP",
    )
    group.add_argument("--tls-key", metavar="FILE", help="its key (default: in the same file)")
    group.add_argument("--tls-client-ca", metavar="FILE", help="authorities of certificates that clients need")


def chosen_tls(options: argparse.Namespace) -> TlsPaths | None:
    """Return the files that the options name, or None for the server's own.

    Raises:
        CommandFailed: they can't be used, or there is no certificate among them.
    """
    if options.tls_certificate is None:
        for name in ("key", "client_ca"):
            if getattr(options, f"tls_{name}") is not None:
                raise CommandFailed(f"--tls-{name.replace('_', '-')} needs --tls-certificate FILE too", USAGE)
        return None
    paths = TlsPaths(
        certificate=_absolute(options.tls_certificate),
        key=None if options.tls_key is None else _absolute(options.tls_key),
        client_ca=None if options.tls_client_ca is None else _absolute(options.tls_client_ca),
    )
    try:
        paths.load()
    except ConfigError as error:
        raise CommandFailed(str(error), USAGE) from error
    return paths


def _absolute(path: str) -> str:
    """Return a path that means the same after the application has changed the current folder."""
    return str(Path(path).absolute())
