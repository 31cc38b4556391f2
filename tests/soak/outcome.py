"""What a scenario has measured, beside what must hold."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that was measured.

    Attributes:
        what: in words.
        measured: with its unit.
        limit: what it must be; empty if it is for information.
        held: whether it was.
    """

    what: str
    measured: str
    limit: str = ""
    held: bool = True


@dataclass(slots=True)
class Outcome:
    """The figures of a scenario.

    Attributes:
        name: of the scenario.
        title: what was done, in a sentence.
        seconds: it took.
        figures: in order.
        date: of the run.
        load: average load of the machine when it began, of other work.
    """

    name: str
    title: str
    seconds: float = 0.0
    figures: list[Figure] = field(default_factory=list)
    date: str = ""
    load: float = 0.0

    def note(self, what: str, measured: str) -> None:
        """Add a figure for information."""
        self.figures.append(Figure(what, measured))

    def limit(self, what: str, measured: float, limit: float, unit: str = "", digits: int = 0) -> None:
        """Add a figure that may be at most ``limit``."""
        shown = f"{measured:,.{digits}f}{unit}"
        self.figures.append(Figure(what, shown, f"at most {limit:,.{digits}f}{unit}", measured <= limit))

    def require(self, what: str, measured: object, expected: object) -> None:
        """Add a figure that must be equal to something."""
        self.figures.append(Figure(what, str(measured), str(expected), measured == expected))

    @property
    def problems(self) -> list[str]:
        """What did not hold."""
        return [f"{figure.what}: {figure.measured}, not {figure.limit}" for figure in self.figures if not figure.held]
