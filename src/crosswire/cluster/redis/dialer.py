"""Connecting and logging in to a Redis."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import hiredis

from crosswire.cluster.redis.address import Address, SentinelService
from crosswire.cluster.redis.commands import command
from crosswire.cluster.redis.exchange import TEMPORARY_ERRORS, exchange
from crosswire.cluster.redis.link import Denied, Link, Unreachable, Unresponsive, text_of
from crosswire.cluster.redis.sentinel import find_master
from crosswire.errors import ConfigError
from crosswire.runtime.dialing import dial
from crosswire.runtime.flusher import Flusher

Revive = Callable[[], Awaitable[object]]

_INVALID_IN_NAME = re.compile(r"[^!-~]")
"""Characters that CLIENT SETNAME refuses."""


class Dialer:
    """Opens connections to a Redis.

    Args:
        address: of the Redis.
        node: name of the node, shown by ``CLIENT LIST``.
        timeout: seconds in which a connection must be made and logged in.
        revive: called before every connection; starts an embedded Redis that does not run.
        flusher: writes what the connections send at the end of a turn; None for one of each connection's own.

    Raises:
        ConfigError: the files for TLS can't be read.
    """

    def __init__(
        self,
        address: Address,
        node: str,
        timeout: float,
        revive: Revive | None = None,
        flusher: Flusher | None = None,
    ) -> None:
        self.address = address
        self._tls = None if address.tls is None else address.tls.context()
        self._name = _INVALID_IN_NAME.sub("_", f"crosswire:{node}").encode()
        self._timeout = timeout
        self._revive = revive
        self._flusher = flusher

    async def open(self, role: str) -> Link:
        """Connect and log in.

        Args:
            role: ``pub`` or ``sub``; a part of the connection's name.

        Raises:
            Denied: the Redis refuses this node.
            Unreachable: the Redis can't be used now.
        """
        link = Link(self._flusher)
        try:
            if self._revive is not None:
                await self._revive()
            async with asyncio.timeout(self._timeout):
                await self._connect(link)
                await self._log_in(link, role)
        except BaseException as error:
            link.close("it was not opened")
            if isinstance(error, TimeoutError):
                raise Unresponsive(f"it does not answer within {self._timeout:g} s") from error
            if isinstance(error, OSError | ConfigError) and not isinstance(error, Unreachable):
                raise Unreachable(text_of(error)) from error
            raise
        return link

    async def _connect(self, link: Link) -> None:
        loop, address = asyncio.get_running_loop(), self.address
        if address.path:
            await loop.create_unix_connection(lambda: link, address.path)
        elif address.service is None:
            await dial(lambda: link, address.host, address.port, self._tls)
        else:
            await self._connect_to_master(link, address.service)

    async def _connect_to_master(self, link: Link, service: SentinelService) -> None:
        master = await find_master(service, self._tls)
        try:
            await dial(lambda: link, master.host, master.port, self._tls)
        except OSError as error:
            raise Unreachable(f"the master at {master.shown}: {text_of(error)}") from error

    async def _log_in(self, link: Link, role: str) -> None:
        commands = self._login_commands(role)
        replies, reason = await exchange(link, [command(*parts) for parts in commands])
        for (name, *_), reply in zip(commands, replies, strict=False):
            if isinstance(reply, hiredis.ReplyError):
                _raise_refusal(name, str(reply))
            elif name == b"ROLE":
                _require_master(reply)
        if reason is not None:
            raise Unreachable(reason)

    def _login_commands(self, role: str) -> list[tuple[bytes, ...]]:
        address, commands = self.address, list[tuple[bytes, ...]]()
        if address.password is not None:
            user = () if address.user is None else (address.user.encode(),)
            commands.append((b"AUTH", *user, address.password.encode()))
        if address.db:
            commands.append((b"SELECT", b"%d" % address.db))
        commands.append((b"CLIENT", b"SETNAME", self._name + b":" + role.encode()))
        if address.service is not None:
            commands.append((b"ROLE",))  # to check that it is the master: a sentinel may name a former one
        return commands


def _require_master(reply: Any) -> None:
    """Check the reply to ROLE.

    Raises:
        Unreachable: it is that of a replica or of a sentinel, or none that is known.
    """
    match reply:
        case [b"master", *_]:
            return
        case [bytes(role), *_]:
            raise Unreachable(f"what the sentinels name as the master is a {role.decode(errors='replace')[:100]}")
        case other:
            raise Unreachable(f"it answered ROLE with {str(other)[:100]}")


def _raise_refusal(name: bytes, refusal: str) -> None:
    """Raise the error for a refused command.

    Raises:
        Denied: the Redis refuses until somebody changes the configuration.
        Unreachable: the Redis refuses for the moment.
    """
    if refusal.startswith(TEMPORARY_ERRORS):
        raise Unreachable(refusal)
    if name == b"CLIENT" and not refusal.startswith(("NOAUTH", "DENIED")):
        return  # CLIENT SETNAME was refused; the connection works without a name
    raise Denied(f"{name.decode()} was refused: {refusal}")
