"""Cutting a window of requests without tearing a photo's questions apart.

Questions about one photo share its pixels and the prefix cache, so they belong together. Must not
know of engines.
"""

from __future__ import annotations

from collections.abc import Sequence

from curation.engines.base import Request


def pieces(requests: Sequence[Request], size: int) -> list[list[Request]]:
    """Cut requests into pieces of at most `size`, in their order.

    Args:
        requests: a photo's requests stand next to each other.
        size: at least 1. A photo with more requests than that is cut as well.

    Returns:
        The pieces; none is empty.
    """
    cut: list[list[Request]] = []
    for photo in _photos(requests):
        for first in range(0, len(photo), size):
            some = photo[first : first + size]
            if cut and len(cut[-1]) + len(some) <= size:
                cut[-1] += some
            else:
                cut.append(some)
    return cut


def _photos(requests: Sequence[Request]) -> list[list[Request]]:
    photos: list[list[Request]] = []
    for request in requests:
        if photos and photos[-1][-1].image_id == request.image_id:
            photos[-1].append(request)
        else:
            photos.append([request])
    return photos
