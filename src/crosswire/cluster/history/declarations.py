"""The namespaces whose rooms keep history: declared on any node, known on all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from crosswire.core.envelopes import HistoryDeclaration
from crosswire.core.names import require_name
from crosswire.core.options import is_seconds, require_count, require_seconds
from crosswire.errors import ConfigError, UsageError
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings

MAX_NAMESPACES = 100
"""Namespaces that keep history; all of them are in each beat of each node."""
MAX_NAMESPACE_BYTES = 256
"""Bytes of the name of such a namespace, in UTF-8."""
MAX_SIZE = 10_000
"""Messages that a room keeps at most. Each server with members of the room keeps them in memory too."""
MAX_TTL = 30 * 24 * 3600.0
"""Seconds for which a room keeps a message at most."""

logger = get_logger("crosswire.history")


class HistoryOptions(NamedTuple):
    """Limits on the messages that each room of a namespace keeps.

    Attributes:
        size: number of messages of a room.
        ttl: seconds for which a message is kept.
    """

    size: int
    ttl: float


def require_history(namespace: object, size: object, ttl: object) -> tuple[str, HistoryOptions]:
    """Check what an application declares.

    Raises:
        UsageError: the namespace is no name, or too long.
        ConfigError: a room can't keep as much.
    """
    name = require_name(namespace, "a room's namespace")
    if len(name.encode()) > MAX_NAMESPACE_BYTES:
        raise UsageError(f"a namespace that keeps history has at most {MAX_NAMESPACE_BYTES} bytes")
    count, seconds = require_count("history(size)", size), require_seconds("history(ttl)", ttl)
    if count > MAX_SIZE:
        raise ConfigError(f"history(size={count}): a room keeps at most {MAX_SIZE:,} messages")
    if seconds > MAX_TTL:
        raise ConfigError(f"history(ttl={seconds}): a room keeps messages for at most {MAX_TTL:,.0f} seconds")
    return name, HistoryOptions(count, seconds)


KeptNamespaces = Mapping[str, HistoryOptions]
"""The options of the namespaces that keep history."""


class _Heard(NamedTuple):
    """Declarations of a member: all of them, and those that can hold."""

    name: str
    declared: tuple[HistoryDeclaration, ...]
    valid: tuple[HistoryDeclaration, ...]


_NOTHING_HEARD = _Heard("", (), ())


class Declarations:
    """The namespaces whose rooms keep history, as one node knows them.

    What any living node declares holds, and of two nodes that declare a namespace differently the larger size and the
    larger time to live. What a node has declared that is gone holds on, until another one declares the namespace: nodes
    pass on all that they know. So a node that joins knows everything after one beat of any other.

    Attributes:
        kept: the options that hold, by namespace; always the same dictionary.
        announced: what beats of this node say.
        changed: called with the namespaces whose options have just changed.
    """

    __slots__ = ("_of_members", "_own", "_warned", "_warnings", "announced", "changed", "kept")

    def __init__(self) -> None:
        self._own: dict[str, HistoryOptions] = {}
        self._of_members: dict[str, _Heard] = {}  # by incarnation
        self._warned: set[tuple[str, str, HistoryOptions]] = set()
        self._warnings = ThrottledWarnings(logger)
        self.kept: dict[str, HistoryOptions] = {}
        self.announced: tuple[HistoryDeclaration, ...] = ()
        self.changed: Callable[[set[str]], None] = _ignore

    def declare(self, namespace: str, options: HistoryOptions) -> None:
        """Declare on this node that the rooms of a namespace keep history, in place of an earlier declaration.

        Raises:
            ConfigError: too many namespaces keep history.
        """
        if namespace not in self.kept and len(self.kept) >= MAX_NAMESPACES:
            raise ConfigError(f"history({namespace!r}): at most {MAX_NAMESPACES} namespaces can keep history")
        self._own[namespace] = options
        for incarnation, heard in self._of_members.items():
            self._compare(incarnation, heard.name, [each for each in heard.valid if each.namespace == namespace])
        self._settle({namespace})

    def begin(self) -> None:
        """Forget what other nodes have declared, as this node starts."""
        self._of_members.clear()
        self._warned.clear()
        for namespace in self.kept.keys() - self._own.keys():
            del self.kept[namespace]
        self._settle(set(self._own))

    def end(self) -> None:
        """Tell nobody of changes any more, as this node stops."""
        self.changed = _ignore

    def heard(self, name: str, incarnation: str, declared: tuple[HistoryDeclaration, ...] | None) -> None:
        """Take what a member says in its beats; None says that it is of a version without history."""
        before = self._of_members.get(incarnation, _NOTHING_HEARD)
        if declared is None or declared == before.declared:
            return
        valid = tuple(each for each in declared if _is_valid(each))[:MAX_NAMESPACES]
        self._of_members[incarnation] = _Heard(name, declared, valid)
        self._compare(incarnation, name, valid)
        self._settle({each.namespace for each in (*before.valid, *valid)})

    def gone(self, incarnation: str) -> None:
        """Forget what a member has declared that is gone, but for what nobody else declares."""
        if (heard := self._of_members.pop(incarnation, None)) is not None:
            self._warned = {each for each in self._warned if each[0] != incarnation}
            self._settle({each.namespace for each in heard.valid})

    def _compare(self, incarnation: str, name: str, declared: Iterable[HistoryDeclaration]) -> None:
        """Warn of each namespace that a member declares differently from this node, once."""
        for each in declared:
            own, theirs = self._own.get(each.namespace), HistoryOptions(each.size, each.ttl)
            key = incarnation, each.namespace, theirs
            if own is None or not each.own or own == theirs or key in self._warned:
                continue
            self._warned.add(key)
            logger.warning(
                "the history of the namespace %r is declared with size=%d, ttl=%g here, and with size=%d, ttl=%g on "
                "node %r: the larger of both hold",
                each.namespace,
                *own,
                *theirs,
                name,
            )

    def _settle(self, namespaces: set[str]) -> None:
        """Find out what holds for some namespaces, and tell of changes."""
        changed = {namespace for namespace in sorted(namespaces) if self._update(namespace)}  # so it can be repeated
        self.announced = tuple(
            HistoryDeclaration(namespace, *self._own.get(namespace, options), namespace in self._own)
            for namespace, options in self.kept.items()
        )
        if changed:
            self.changed(changed)

    def _update(self, namespace: str) -> bool:
        """Find out what holds for a namespace; return whether it is something else than before."""
        theirs = [each for of in self._of_members.values() for each in of.valid if each.namespace == namespace]
        declared = [HistoryOptions(each.size, each.ttl) for each in theirs if each.own]
        if namespace in self._own:
            declared.append(self._own[namespace])
        before = self.kept.get(namespace)
        if not declared:  # who has declared it is gone
            declared = [HistoryOptions(each.size, each.ttl) for each in theirs]
            if before is not None:
                declared.append(before)
        if not declared:
            return False
        if before is None and len(self.kept) >= MAX_NAMESPACES:
            text = "the namespace %r does not keep history here, although another node says so: %d keep it already"
            self._warnings.warn("too many", text, namespace, MAX_NAMESPACES)
            return False
        self.kept[namespace] = HistoryOptions(max(each.size for each in declared), max(each.ttl for each in declared))
        return self.kept[namespace] != before


def _is_valid(declared: HistoryDeclaration) -> bool:
    return (
        0 < len(declared.namespace.encode()) <= MAX_NAMESPACE_BYTES
        and 0 < declared.size <= MAX_SIZE
        and is_seconds(declared.ttl)
        and declared.ttl <= MAX_TTL
    )


def _ignore(_namespaces: set[str]) -> None:
    """Ignore changes while the node does not run."""
