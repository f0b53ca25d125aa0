"""Cutting a window of requests between photos, never within one, and joining the results again.

Questions about one photo share its pixels and the prefix cache, so they belong together. Must not
know of engines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from curation.engines.base import Answer, Refused, Request


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


def in_order(
    requests: Sequence[Request], results: Iterable[Answer | Refused]
) -> list[Answer | Refused]:
    """Results as their requests stand, whatever came first: the same run writes the same rows."""
    places = {request.caption_id: place for place, request in enumerate(requests)}
    return sorted(results, key=lambda one: places[one.caption_id])


def _photos(requests: Sequence[Request]) -> list[list[Request]]:
    photos: list[list[Request]] = []
    for request in requests:
        if photos and photos[-1][-1].image_id == request.image_id:
            photos[-1].append(request)
        else:
            photos.append([request])
    return photos
