"""Makes connections to one Redis, and logs in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import hiredis

from crosswire.cluster.redis.address import Address, SentinelService
from crosswire.cluster.redis.commands import command
from crosswire.cluster.redis.exchange import FOR_NOW, exchange
from crosswire.cluster.redis.link import Denied, Link, Silent, Unreachable, text_of
from crosswire.cluster.redis.sentinel import find_master
from crosswire.errors import ConfigError
from crosswire.runtime.dialing import dial

Revive = Callable[[], Awaitable[object]]

_NOT_IN_A_NAME = re.compile(r"[^!-~]")  # CLIENT SETNAME takes nothing else


class Dialer:
    """Connects to one Redis.

    Args:
        address: of the Redis.
        node: name of the node, for whoever looks at ``CLIENT LIST``.
        timeout: seconds to connect and to log in.
        revive: called before every connection: starts the Redis if it does not run, where that is ours to do.

    Raises:
        ConfigError: the files that its TLS needs can't be read.
    """

    def __init__(self, address: Address, node: str, timeout: float, revive: Revive | None = None) -> None:
        self.address = address
        self._tls = None if address.tls is None else address.tls.context()
        self._name = _NOT_IN_A_NAME.sub("_", f"crosswire:{node}").encode()
        self._timeout = timeout
        self._revive = revive

    async def open(self, role: str) -> Link:
        """Connect and log in.

        Args:
            role: ``pub`` or ``sub``; a part of the connection's name.

        Raises:
            Denied: the Redis refuses us.
            Unreachable: it can't be used now.
        """
        link = Link()
        try:
            if self._revive is not None:
                await self._revive()
            async with asyncio.timeout(self._timeout):
                await self._connect(link)
                await self._log_in(link, role)
        except BaseException as error:
            link.close("it was not opened")
            if isinstance(error, TimeoutError):
                raise Silent(f"it does not answer within {self._timeout:g} s") from error
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
        commands = self._first_commands(role)
        replies, reason = await exchange(link, [command(*parts) for parts in commands])
        for (name, *_), reply in zip(commands, replies, strict=False):
            if isinstance(reply, hiredis.ReplyError):
                _judge(name, str(reply))
            elif name == b"ROLE" and reply[0] != b"master":
                raise Unreachable(f"what the sentinels name as the master is a {reply[0].decode()}")
        if reason is not None:
            raise Unreachable(reason)

    def _first_commands(self, role: str) -> list[tuple[bytes, ...]]:
        address, commands = self.address, list[tuple[bytes, ...]]()
        if address.password is not None:
            user = () if address.user is None else (address.user.encode(),)
            commands.append((b"AUTH", *user, address.password.encode()))
        if address.db:
            commands.append((b"SELECT", b"%d" % address.db))
        commands.append((b"CLIENT", b"SETNAME", self._name + b":" + role.encode()))
        if address.service is not None:
            commands.append((b"ROLE",))  # a sentinel may name the master of yesterday
        return commands


def _judge(name: bytes, refusal: str) -> None:
    """Raise what a refusal means.

    Raises:
        Denied: it will not change its mind.
        Unreachable: it may.
    """
    if refusal.startswith(FOR_NOW):
        raise Unreachable(refusal)
    if name == b"CLIENT" and not refusal.startswith(("NOAUTH", "DENIED")):
        return  # then the connection has no name, and works
    raise Denied(f"{name.decode()} was refused: {refusal}")
