"""``uniqa-train``, from its first moment on: `training.cli` takes a while to load."""

from __future__ import annotations

from uniqa.early import start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """The console's entry point."""
    start(_load)


def _load() -> Callable[[], None]:
    from training.cli import main

    return main


if __name__ == "__main__":
    main()
