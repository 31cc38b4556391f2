"""Answers of many: of nodes, or of users."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from crosswire.errors import EventError

if TYPE_CHECKING:  # type checkers know defaults of type variables, Python 3.11 does not
    from typing_extensions import TypeVar as TypeVarWithDefault

    T = TypeVarWithDefault("T", default=Any)
    T_co = TypeVarWithDefault("T_co", covariant=True, default=Any)
else:
    T = TypeVar("T")
    T_co = TypeVar("T_co", covariant=True)

ANYTHING: Any = Any
"""Type of an answer if the caller names none."""


class Replies(Mapping[str, T_co]):
    """Answers of several nodes or users, by name; None is an answer too.

    Its type parameter is the type of an answer: ``Replies[Answer]``.

    Attributes:
        errors: the :class:`EventError` of each node or user that refused, by name.
        missing: names of the nodes or users that did not answer in time, or went away before.
        expected: number of answers that were expected, if only their number was known.
    """

    __slots__ = ("_answers", "errors", "expected", "missing")

    def __init__(
        self,
        answers: Mapping[str, T_co] | None = None,
        *,
        errors: Mapping[str, EventError] | None = None,
        missing: Collection[str] = (),
        expected: int = 0,
    ) -> None:
        self._answers = dict(answers or {})
        self.errors: dict[str, EventError] = dict(errors or {})
        self.missing: tuple[str, ...] = tuple(missing)
        self.expected = expected

    @property
    def complete(self) -> bool:
        """Whether everybody who was asked has answered; a refusal is an answer."""
        return not self.missing and len(self) + len(self.errors) >= self.expected

    def __getitem__(self, name: str) -> T_co:
        return self._answers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    def __repr__(self) -> str:
        return f"Replies({self._answers!r}, errors={self.errors!r}, missing={self.missing!r})"


@dataclass(frozen=True, slots=True)
class Reply(Generic[T_co]):
    """An answer in a ``stream``: its sender, and either data or a refusal."""

    sender: str
    data: T_co = cast(Any, None)  # noqa: RUF009 - None if the sender refused
    error: EventError | None = None


class Tally(int):
    """A count, usable as an int, that also tells which nodes did not answer."""

    missing: tuple[str, ...]

    def __new__(cls, total: int, missing: Collection[str] = ()) -> Tally:
        """Create a tally from a plain count and the names of the nodes that did not answer."""
        self = super().__new__(cls, total)
        self.missing = tuple(missing)
        return self

    @property
    def total(self) -> int:
        """The count as a plain int."""
        return int(self)

    def __str__(self) -> str:
        return str(self.total)

    def __repr__(self) -> str:
        return f"Tally({int(self)}, missing={self.missing!r})"
