"""Options of the adapters in Python; each also has `--name A`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace


def parse(description: str | None) -> Namespace:
    """Return the options of the command line.

    `redis` is a list of URLs, `cert` and `key` are files or None. `compression` is for those that have to be told:
    uvicorn grants permessage-deflate to whoever offers it.
    """
    parser = ArgumentParser(description=description)
    parser.add_argument("--name", required=True, help="unique among the servers")
    parser.add_argument("--redis", action="append", default=[], metavar="URL")
    parser.add_argument("--cert", metavar="FILE", help="the certificate, for TLS")
    parser.add_argument("--key", metavar="FILE", help="its key")
    parser.add_argument("--compression", action="store_true", help="grant permessage-deflate")
    return parser.parse_args()
