"""HTTP header fields of an upgrade request, kept small: a server holds one for every connection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""Syntax of the name of a field or of a subprotocol (RFC 9110, section 5.6.2)."""

FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""Syntax of the value of a field (RFC 9110, section 5.5)."""


class Headers(Mapping[str, str]):
    """Header fields by case-insensitive name; fields of one name are joined with ``", "`` (RFC 9110, section 5.3).

    They are held as one string, as they come over the network, which needs a quarter of the memory of a dict, and is
    searched: only one or two fields of a connection are ever read. Neither names nor values can contain a line break,
    and no name a colon (RFC 9110, section 5). In the string names may be in any case if all of it is ASCII, so that its
    characters keep their places in lower case; else they are in lower case.
    """

    __slots__ = ("_text",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._text = "\r\n" + "".join([f"{name.lower()}: {value}\r\n" for name, value in fields])

    @classmethod
    def of_text(cls, text: str) -> Headers:
        """Create headers from a line break and, for each field: name, colon, space, value, line break.

        Args:
            text: in ASCII, or with names in lower case.
        """
        headers = cls.__new__(cls)
        headers._text = text
        return headers

    @classmethod
    def of_bytes(cls, fields: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Create headers from fields as ASGI servers have them: in bytes, of which each is a character."""
        return cls([(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields])

    def get_all(self, name: str) -> list[str]:
        """Return the values of all fields of that name, in order."""
        text, key, values = self._text, f"\r\n{name.lower()}: ", []
        names = text.lower() if text.isascii() else text
        start = names.find(key)
        while start >= 0:
            start += len(key)
            end = text.index("\r\n", start)
            values.append(text[start:end])
            start = names.find(key, end)
        return values

    def has_token(self, name: str, token: str) -> bool:
        """Return whether a field that is a list of tokens contains ``token``, in any case (RFC 9110, section 5.6.1)."""
        wanted = token.lower()
        if f"\r\n{name.lower()}: {wanted}\r\n" in self._text.lower():  # nearly always, where it is one
            return True
        listed: str = self.get(name, "").lower()
        return listed == wanted or wanted in [part.strip() for part in listed.split(",")]

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a field, or ``default``."""
        text, key = self._text, f"\r\n{name.lower()}: "
        names = text.lower() if text.isascii() else text
        start = names.find(key)
        if start < 0:
            return default
        start += len(key)
        end = text.index("\r\n", start)
        if names.find(key, end) < 0:  # usually there is no second one
            return text[start:end]
        return ", ".join(self.get_all(name))

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        text = self._text
        return f"\r\n{name.lower()}: " in (text.lower() if text.isascii() else text)

    def __getitem__(self, name: str) -> str:
        value: str | None = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(line.partition(": ")[0].lower() for line in self._text.split("\r\n") if line))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"Headers({sorted(self)})"  # names only: values may be secrets
