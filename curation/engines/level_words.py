"""Which tokens tell the five levels apart, and what their probabilities mean.

A level word may be one token or several, and two words may begin with the same token. The words
form a tree: wherever it parts, the model is asked for the next token after the answer so far, and
a level's probability is the product along its way. Must not know of models: it gets an encoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from uniqa.levels import LEVELS


@dataclass(frozen=True, slots=True)
class Branch:
    """The answer so far, the token it ends with, and the tokens that may follow it."""

    answer: str
    last: int | None
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LevelWords:
    """The branches to ask for; `ways` holds per level the (branch, token) pairs to its word."""

    start: str
    branches: tuple[Branch, ...]
    ways: tuple[tuple[tuple[int, int], ...], ...]

    def probabilities(self, scores: Sequence[Sequence[float]]) -> tuple[float, ...]:
        """The levels' probabilities, worst first; they sum to 1.

        Args:
            scores: per branch the log-probabilities of its tokens, in their order.

        Raises:
            ValueError: a score is not a number, or no level is possible at all.
        """
        sums = [sum(scores[branch][token] for branch, token in way) for way in self.ways]
        best = max(sums)
        if not math.isfinite(best) or any(math.isnan(one) for one in sums):
            raise ValueError("the model's scores are not numbers")
        weights = [math.exp(one - best) for one in sums]
        return tuple(weight / sum(weights) for weight in weights)

    def sentence(self, probabilities: Sequence[float]) -> str:
        """The answer with the most likely level; of equals the worse one."""
        return f"{self.start} {LEVELS[list(probabilities).index(max(probabilities))]}."


def level_words(answer_start: str, encode: Callable[[str], Sequence[int]]) -> LevelWords:
    """Find where a tokenizer parts the level words after an answer's start.

    Args:
        answer_start: what the answer begins with; the level word follows after a space.
        encode: text to token ids, without special tokens.

    Raises:
        ValueError: this tokenizer does not let the words be told apart token by token.
    """
    start = answer_start.rstrip()
    head = tuple(encode(start))
    words = [tuple(encode(f"{start} {level}")) for level in LEVELS]
    if any(word[: len(head)] != head for word in words):
        raise ValueError(f"its tokenizer reads '{start}' otherwise when a level follows")
    tails = [word[len(head) :] for word in words]
    branches: list[Branch] = []
    ways: list[list[tuple[int, int]]] = [[] for _ in LEVELS]

    def part(said: tuple[int, ...], members: list[int]) -> None:
        depth = len(said)
        if any(len(tails[member]) == depth for member in members):
            raise ValueError(f"its tokenizer does not tell the levels apart after '{start}'")
        tokens = tuple(dict.fromkeys(tails[member][depth] for member in members))
        whole = head + said
        answer = _text_of(whole, start, LEVELS[members[0]], encode)
        branches.append(Branch(answer, whole[-1] if whole else None, tokens))
        here = len(branches) - 1
        for place, token in enumerate(tokens):
            group = [member for member in members if tails[member][depth] == token]
            for member in group:
                ways[member].append((here, place))
            if len(group) > 1:
                part((*said, token), group)

    part((), list(range(len(LEVELS))))
    return LevelWords(start, tuple(branches), tuple(tuple(way) for way in ways))


def _text_of(
    tokens: tuple[int, ...], start: str, level: str, encode: Callable[[str], Sequence[int]]
) -> str:
    """The beginning of the answer that is read as exactly these tokens."""
    word = f" {level}"
    for end in range(len(word)):
        if tuple(encode(start + word[:end])) == tokens:
            return start + word[:end]
    raise ValueError(f"its tokenizer parts '{level}' where no text can end")
