"""Options of the adapters in Python: `--name A [--redis URL] [--cert FILE --key FILE] [--compression]`."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """What an adapter is told.

    Attributes:
        redis: URL of its Redis, if it shares messages with others.
        cert: file of its certificate, if it listens with TLS.
        key: file of the certificate's key.
        compression: whether it grants permessage-deflate.
    """

    redis: str | None
    cert: str | None
    key: str | None
    compression: bool


def options() -> Options:
    """Read the command line."""
    parser = ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--redis", metavar="URL")
    parser.add_argument("--cert", metavar="FILE")
    parser.add_argument("--key", metavar="FILE")
    parser.add_argument("--compression", action="store_true")
    read = parser.parse_args()
    return Options(read.redis, read.cert, read.key, read.compression)
