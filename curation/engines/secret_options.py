"""Options that hold a secret are refused: a run's options are stored, and shown when asked for.

Must not know what the options mean to their engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uniqa.errors import UsageError

_NAMES = frozenset({"token", "authorization"})
_ENDINGS = ("hf_token", "access_token", "auth_token", "api_key", "apikey", "password", "secret")


def refuse_secrets(options: Mapping[str, Any]) -> None:
    """Raise UsageError for a text under a name like ``hf_token`` or ``api_key``, however deep.

    The text itself is not repeated. ``hf_token: true``, which names no token, may be said.
    """
    for name, value in options.items():
        if isinstance(value, Mapping):
            refuse_secrets(value)
        plain = str(name).lower().replace("-", "_")
        if isinstance(value, str) and (plain in _NAMES or plain.endswith(_ENDINGS)):
            raise UsageError(
                f"the option '{name}' would store a secret in the corpus",
                "Set HF_TOKEN in the environment; a server's key in the variable that key_variable "
                "names (OPENAI_API_KEY)",
            )
