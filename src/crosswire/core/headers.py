"""HTTP header fields of an upgrade request, kept small: a server holds one for every connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping


class Headers(Mapping[str, str]):
    """Header fields by case-insensitive name; fields of one name are joined with ``", "`` (RFC 9110, section 5.3).

    They are held as one string, a quarter of the memory of a dict, and looked up by a scan: handlers read a header
    or two of a connection, if any.
    """

    __slots__ = ("_text",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._text = "".join(f"{name.lower()}\0{value}\n" for name, value in fields)

    def get_all(self, name: str) -> list[str]:
        """The values of every field of that name, in order."""
        wanted = name.lower()
        return [value for key, value in self._fields() if key == wanted]

    def has_token(self, name: str, token: str) -> bool:
        """Whether a field that is a list of tokens holds ``token``, in any case (RFC 9110, section 5.6.1)."""
        return token.lower() in (part.strip().lower() for value in self.get_all(name) for part in value.split(","))

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._fields()))

    def __len__(self) -> int:
        return len(set(self))

    def __repr__(self) -> str:
        return f"Headers({sorted(self)})"  # names only: values may be secrets

    def _fields(self) -> Iterator[tuple[str, str]]:
        for line in self._text.split("\n"):
            if line:
                name, _, value = line.partition("\0")
                yield name, value
