"""Drawing tokens so that a text depends on its request alone, whatever shares its batch.

Must not know of prompts or models: it gets scores and seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from curation.engines.base import Sampling

if TYPE_CHECKING:
    # Not at run time: the image step's processes import this for an engine's `prepare` alone.
    from torch import Tensor


class Draws:
    """Draws the next token of every row; stands among the logits processors of `generate`.

    A row's random numbers follow from its seed and the position alone, and are laid on the
    probabilities in vocabulary order, so neither neighbours nor near ties change what is drawn.
    """

    def __init__(self, asked: Sequence[tuple[Sampling, int]], budgets: Sequence[int]) -> None:
        import torch

        self.tokens: list[Tensor] = []
        self.broken = torch.zeros(len(asked), dtype=torch.bool)
        self._budgets = torch.tensor(budgets)
        self._temperatures = torch.tensor([how.temperature for how, _ in asked])
        self._top_p = torch.tensor([how.top_p for how, _ in asked])
        longest = max(budgets)
        self._numbers = torch.stack(
            [
                torch.rand(
                    longest, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
                )
                for _, seed in asked
            ]
        )

    def __call__(self, _input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (rows, vocabulary) in which only the drawn token of each row is possible."""
        scores = scores.float()
        best = scores.amax(dim=1, keepdim=True)
        self.broken |= ~best.isfinite().squeeze(1)
        scores = (scores - best).masked_fill(self.broken[:, None], 0.0)
        chosen = scores.argmax(dim=1)
        warm = self._temperatures > 0
        if warm.any():
            chosen[warm] = draw(
                scores[warm] / self._temperatures[warm, None],
                self._top_p[warm],
                self._numbers[warm, len(self.tokens)],
            )
        self.tokens.append(chosen)
        return scores.new_full(scores.shape, -math.inf).scatter_(1, chosen[:, None], 0.0)

    def spent(self, _input_ids: Tensor, _scores: Tensor, **_: Any) -> Tensor:
        """Which rows, shape (rows,), have all the tokens they may have."""
        return self._budgets <= len(self.tokens)


def draw(scores: Tensor, top_p: Tensor, numbers: Tensor) -> Tensor:
    """One token per row from the fewest most likely ones that together reach `top_p`.

    Args:
        scores: logits, already divided by the temperature, shape (rows, vocabulary).
        top_p: shape (rows,), above 0 and up to 1.
        numbers: uniform random numbers, shape (rows,), in [0, 1).

    Returns:
        Token ids, shape (rows,).
    """
    import torch

    probabilities = scores.double().softmax(dim=1)
    if (top_p < 1).any():
        ordered, order = probabilities.sort(dim=1, descending=True, stable=True)
        beyond = ordered.cumsum(dim=1) - ordered >= top_p[:, None]
        beyond[:, 0] = False
        probabilities = probabilities.masked_fill(
            beyond.new_zeros(beyond.shape).scatter_(1, order, beyond), 0.0
        )
    steps = probabilities.cumsum(dim=1)
    # A little less than the sum: rounding must not point behind the last token.
    wanted = numbers[:, None] * steps[:, -1:] * (1 - 1e-12)
    return torch.searchsorted(steps, wanted, right=True).squeeze(1)
