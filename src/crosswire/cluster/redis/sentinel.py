"""Finding the master of a service with Redis Sentinel."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from typing import Any

import hiredis

from crosswire.cluster.redis.address import Place, SentinelService
from crosswire.cluster.redis.commands import command
from crosswire.cluster.redis.exchange import TEMPORARY_ERRORS, exchange
from crosswire.cluster.redis.link import Denied, Link, Unreachable, text_of
from crosswire.runtime.dialing import dial

_PORT_DIGITS = 5
_ANSWER_TIMEOUT = 0.5
"""Seconds in which a sentinel must answer to be counted."""


class _MasterUnknown(Exception):
    """A sentinel knows no master, or refuses this node."""


async def find_master(service: SentinelService, tls: ssl.SSLContext | None = None) -> Place:
    """Ask all sentinels at once, over TLS if it is given, and return the master that most of them name.

    It waits until more than half of all sentinels agree, or all have answered or failed: a sentinel that is cut off
    from the others may still name a former master.

    Raises:
        Denied: all answered, and none knows the service or lets this node ask.
        Unreachable: no sentinel named a master.
    """
    asked = {asyncio.ensure_future(_ask(service, place, tls)): place for place in service.places}
    votes: Counter[Place] = Counter()
    errors: dict[Place, BaseException] = {}
    try:
        for answer in asyncio.as_completed(asked):
            try:
                votes[await answer] += 1
            except (OSError, _MasterUnknown):
                continue
            if max(votes.values()) > len(asked) / 2:
                break
        else:
            errors = {place: error for each, place in asked.items() if (error := each.exception()) is not None}
    finally:
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    if votes:
        return votes.most_common(1)[0][0]
    reasons = "; ".join(f"{place.shown}: {error}" for place, error in errors.items())
    kind = Denied if all(isinstance(error, _MasterUnknown) for error in errors.values()) else Unreachable
    raise kind(f"no sentinel names a master of {service.name!r}: {reasons}")


async def _ask(service: SentinelService, place: Place, tls: ssl.SSLContext | None) -> Place:
    """Ask a sentinel for the master.

    Raises:
        _MasterUnknown: the sentinel knows no master, or refuses this node.
        OSError: the sentinel can't be reached.
    """
    link = Link()
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            await dial(lambda: link, place.host, place.port, tls)
            replies, reason = await exchange(link, _commands(service))
    except TimeoutError as error:
        raise Unreachable(f"it does not answer within {_ANSWER_TIMEOUT:g} s") from error
    except OSError as error:
        raise Unreachable(text_of(error)) from error
    finally:
        link.close("it was asked")
    return _master(replies, reason)


def _commands(service: SentinelService) -> list[bytes]:
    commands = [command(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service.name.encode())]
    if service.password is not None:
        user = () if service.user is None else (service.user.encode(),)
        commands.insert(0, command(b"AUTH", *user, service.password.encode()))
    return commands


def _master(replies: list[Any], reason: str | None) -> Place:
    for reply in replies:
        if isinstance(reply, hiredis.ReplyError):
            raise (Unreachable if str(reply).startswith(TEMPORARY_ERRORS) else _MasterUnknown)(str(reply))
    if reason is not None:
        raise Unreachable(reason)
    match replies[-1]:
        case None:
            raise _MasterUnknown("it does not know that service")
        case [bytes(host), bytes(port)] if port.isdigit() and len(port) <= _PORT_DIGITS and int(port) < 1 << 16:
            return Place(host.decode(errors="replace"), int(port))
        case other:
            raise Unreachable(f"it answered {str(other)[:100]}")
