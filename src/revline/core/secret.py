"""A value that does not show itself. Knows neither where secrets come from nor what they open."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """A secret text: printing, formatting and logging show `***`, pickling is refused. `reveal()` is the only way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value, for the one call that needs it. Keep it out of logs, problems and cases."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        """Equal values, compared in constant time."""
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, _specification: str) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
