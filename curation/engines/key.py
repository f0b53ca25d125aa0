"""A key for a server: read from the environment, sent in one header, shown nowhere.

Whatever comes back from a server passes `hide` before anybody sees it: some echo the header they
were sent. Must not know of requests or engines.
"""

from __future__ import annotations

import os
import re

from uniqa.errors import UsageError

HIDDEN = "***"

LONGEST_MESSAGE = 300
"""Characters of a server's own words that are passed on."""

SHORTEST_SECRET = 6
"""Shorter keys (``EMPTY``, ``none``) are no secrets but words, which may stand in any text."""


class Key:
    """A key, or none: then no header is sent. It shows itself in no text and in no pickle."""

    __slots__ = ("__secret", "variable")

    def __init__(self, variable: str) -> None:
        """Read the key from an environment variable, which may be unset.

        Raises:
            UsageError: the variable holds what no header can carry; its value is not repeated.
        """
        self.variable = variable
        self.__secret = os.environ.get(variable, "").strip()
        if not re.fullmatch(r"[\x21-\x7e]*", self.__secret):
            raise UsageError(
                f"the key in {variable} has spaces or other signs that no key has",
                "Copy it again",
            )

    def __bool__(self) -> bool:
        return bool(self.__secret)

    def __repr__(self) -> str:
        return f"Key({self.variable!r}, {'set' if self else 'not set'})"

    def __reduce__(self) -> tuple[type[Key], tuple[str]]:
        # Another process reads its own environment.
        return Key, (self.variable,)

    def headers(self) -> dict[str, str]:
        """The header that carries the key."""
        return {"Authorization": f"Bearer {self.__secret}"} if self else {}

    def hide(self, text: str) -> str:
        """The text without the key, and otherwise as it was."""
        if len(self.__secret) < SHORTEST_SECRET:
            return text
        return re.sub(re.escape(self.__secret), HIDDEN, text, flags=re.IGNORECASE)

    def shown(self, text: str) -> str:
        """Words of a server as people may see them: without the key, one line, not too long."""
        # Hidden before it is cut: half a key is a secret as well.
        hidden = self.hide(text)
        line = " ".join("".join(c if c.isprintable() else " " for c in hidden).split())
        return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"

    @property
    def remedy(self) -> str:
        """What to do when the server refuses it."""
        if self:
            return f"Check the key in the environment variable {self.variable}"
        return f"Put a key into the environment variable {self.variable}"
