"""Getting to know a server: is the model there, what can it do, does it take requests like ours.

A few requests before the first caption is asked for, so that what is wrong is told in one line and
not once per caption. Must not know what is asked later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import httpx
import numpy as np

from curation.engines.base import Request, Sampling
from curation.engines.chat_api import Dialect, PhotoUrl, body, is_loopback, server_words
from curation.engines.exchange import CONNECT_SECONDS
from curation.engines.key import Key
from curation.engines.level_words import level_words
from curation.prompts import Question
from uniqa.errors import EngineError, UsageError, nearest
from uniqa.levels import LEVELS

GREETING_SECONDS = 60.0
"""Some servers load a model when it is first asked."""


@dataclass(frozen=True)
class Handshake:
    """A server, the model wanted of it, and the key to it."""

    url: str
    model: str
    key: Key

    def card(self) -> dict[str, Any]:
        """What the server says about the model; empty where no list names it, but it answers.

        Raises:
            EngineError: nobody there, or one who refuses the key or has no list.
            UsageError: the list does not name the model, and it does not answer either.
        """
        try:
            with self._client() as client:
                reply = client.get(f"{self.url}/models")
        except httpx.HTTPError as error:
            why = self.key.shown(str(error)) or type(error).__name__
            raise EngineError(
                f"the server at {self.url} cannot be reached ({why})",
                "Start it, or check the URL",
            ) from None
        if reply.status_code in {401, 403}:
            raise self._refused_key(reply)
        if reply.status_code in {404, 405}:
            return {}
        try:
            cards = reply.json()["data"] if reply.status_code == 200 else None
            served = {str(card["id"]): dict(card) for card in cards or ()}
        except (KeyError, TypeError, ValueError):
            cards, served = None, {}
        if self.model not in served and self._answers():
            # Some list what they could load and not what they have loaded (transformers serve).
            return {}
        if cards is None:
            raise EngineError(
                f"{self.url}/models is no list of models (status {reply.status_code}: "
                f"{self._words(reply)})",
                "Check the URL, and whether the server has loaded its model",
            )
        if self.model not in served:
            raise UsageError(
                f"the server at {self.url} has no model '{self.model}'",
                self.key.hide(nearest(self.model, served))
                if served
                else "It serves none at present",
            )
        return served[self.model]

    def _answers(self) -> bool:
        """Whether the model answers a greeting."""
        fields = {
            "model": self.model,
            "messages": [{"role": "user", "content": "Hello"}],
            "max_tokens": 1,
        }
        try:
            with self._client(GREETING_SECONDS) as client:
                reply = client.post(f"{self.url}/chat/completions", json=fields)
            return reply.status_code == 200 and bool(reply.json()["choices"])
        except (httpx.HTTPError, KeyError, TypeError, ValueError):
            return False

    def is_vllm(self, card: Mapping[str, Any]) -> bool:
        """Whether vLLM's own fields and pages can be used."""
        if card.get("owned_by") != "vllm" and "max_model_len" not in card:
            return False
        try:
            with self._client() as client:
                reply = client.get(f"{self.url.removesuffix('/v1')}/version")
                return reply.status_code == 200 and isinstance(reply.json()["version"], str)
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    def try_out(self, dialect: Dialect, photo: PhotoUrl, shots: int, timeout: float) -> Dialect:
        """Send a request like those to come.

        Args:
            dialect: what the server is thought to understand.
            photo: how photos are sent.
            shots: photos of exemplars that will come with requests.
            timeout: seconds for the answer; none is no error, as `generate` is patient.

        Returns:
            The dialect, changed where the server wants it otherwise.

        Raises:
            EngineError: the key is refused, or such requests are.
        """
        grey = photo.of(np.full((224, 224, 3), 128, dtype=np.uint8))
        question = Question("quality", "", "", "", "You describe photos.", "Describe this photo.")
        trial = Request("trial", "", grey, question, Sampling(max_tokens=1), 0)
        fields = body(dialect, trial)
        user = fields["messages"][-1]
        # The photos of exemplars, without their words.
        user["content"] = [user["content"][0]] * shots + user["content"]
        try:
            with self._client(timeout) as client:
                reply = client.post(f"{self.url}/chat/completions", json=fields)
                if reply.status_code == 400 and "max_completion_tokens" in reply.text:
                    dialect = replace(dialect, tokens_field="max_completion_tokens")
                    fields["max_completion_tokens"] = 16
                    del fields["max_tokens"]
                    reply = client.post(f"{self.url}/chat/completions", json=fields)
        except httpx.HTTPError:
            # It was there a moment ago; whether it stays away is for `generate` to find.
            return dialect
        if reply.status_code in {401, 403}:
            raise self._refused_key(reply)
        if 400 <= reply.status_code < 500 and reply.status_code not in {408, 409, 425, 429}:
            photos = f"{shots + 1} photos" if shots else "a photo"
            raise EngineError(
                f"'{self.model}' at {self.url} rejects a request with {photos} (status "
                f"{reply.status_code}: {self._words(reply)})",
                "Serve a model that sees"
                + (
                    ", and allow it as many images per prompt, or use fewer exemplars" * bool(shots)
                ),
            )
        return dialect

    def level_ids(self, start: str) -> tuple[int, ...]:
        """The token with which each level goes on from `start`, as vLLM reads it.

        Empty where that is not known, or where two levels begin with the same token: then words
        are looked for among the likeliest tokens.
        """

        @cache
        def encode(text: str) -> tuple[int, ...]:
            fields = {"model": self.model, "prompt": text, "add_special_tokens": False}
            reply = client.post(f"{self.url.removesuffix('/v1')}/tokenize", json=fields)
            return tuple(int(token) for token in reply.json()["tokens"])

        try:
            with self._client() as client:
                (first, *more) = level_words(start, encode).branches
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return ()
        return () if more or len(first.tokens) != len(LEVELS) else first.tokens

    def _refused_key(self, reply: httpx.Response) -> EngineError:
        why = f"status {reply.status_code}: {self._words(reply)}"
        return EngineError(f"the server at {self.url} refused the key ({why})", self.key.remedy)

    def _words(self, reply: httpx.Response) -> str:
        return self.key.shown(server_words(reply.text))

    def _client(self, timeout: float = CONNECT_SECONDS) -> httpx.Client:
        return httpx.Client(
            headers=self.key.headers(), timeout=timeout, trust_env=not is_loopback(self.url)
        )
