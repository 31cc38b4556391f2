"""HTTP header fields of an upgrade request, kept small: a server holds one for every connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping


class Headers(Mapping[str, str]):
    """Header fields by case-insensitive name; fields of one name are joined with ``", "`` (RFC 9110, section 5.3).

    They are held as one string, a quarter of the memory of a dict, and searched: a field or two of a connection is
    ever read again. Neither names nor values can hold the two characters between them (RFC 9110, section 5.5).
    """

    __slots__ = ("_text",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._text = "\n" + "".join([f"{name.lower()}\0{value}\n" for name, value in fields])

    def get_all(self, name: str) -> list[str]:
        """The values of every field of that name, in order."""
        key, values, end = f"\n{name.lower()}\0", [], 0
        while (start := self._text.find(key, end)) >= 0:
            start += len(key)
            end = self._text.index("\n", start)
            values.append(self._text[start:end])
        return values

    def has_token(self, name: str, token: str) -> bool:
        """Whether a field that is a list of tokens holds ``token``, in any case (RFC 9110, section 5.6.1)."""
        wanted = token.lower()
        return any(wanted == part.strip() for value in self.get_all(name) for part in value.lower().split(","))

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(line.partition("\0")[0] for line in self._text.split("\n") if line))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"Headers({sorted(self)})"  # names only: values may be secrets
