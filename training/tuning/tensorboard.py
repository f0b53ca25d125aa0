"""A run's curves for TensorBoard, where that package is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import TracebackType
from typing import Any

from uniqa.errors import UsageError


def need_tensorboard() -> None:
    """Refuse in one line where the package is missing.

    Raises:
        UsageError: it is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError(
            "--tensorboard needs the package tensorboard", "Run: pip install tensorboard"
        )


class Curves:
    """Writes every number of each record under its name."""

    def __init__(self, folder: Path) -> None:
        need_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder))

    def tell(self, record: dict[str, float]) -> None:
        """Add one record at its step."""
        kind = "epoch" if "epoch" in record else "window"
        for name, value in record.items():
            if name not in ("step", "epoch"):
                self._writer.add_scalar(f"{kind}/{name}", value, int(record["step"]))

    def __enter__(self) -> Curves:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
