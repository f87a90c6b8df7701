"""Cutting a call's profiles into chunks, each of which is appended to the lanes in one step. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from app.errors import ActivationError
from app.lanes.bounds import Readied

T = TypeVar("T")

MOST_CONTACTS = 500  # in one step: a few ms of the Redis server's time
MOST_BYTES = 4_000_000


def bounded(
    items: Iterable[tuple[T, Readied]],
    contacts: Callable[[Any], int],
    *,
    most: int = MOST_CONTACTS,
    most_bytes: int = MOST_BYTES,
) -> Iterator[list[tuple[T, Readied]]]:
    """Split items into lists that end once they hold `most` contacts or `most_bytes` bytes.

    `contacts` returns how many contacts a profile has; the profile counts, and its size adds, once for each.

    If `items` raises an `ActivationError`, the items before it are yielded first, then the error is raised.
    """
    found: list[tuple[T, Readied]] = []
    number = size = 0
    ended: ActivationError | None = None
    rest = iter(items)
    while True:
        try:
            item = next(rest)
        except StopIteration:
            break
        except ActivationError as error:
            ended = error
            break
        found.append(item)
        times = contacts(item[1].profile)
        number += times
        size += times * item[1].size
        if number >= most or size >= most_bytes:
            yield found
            found, number, size = [], 0, 0
    if found:
        yield found
    if ended is not None:
        raise ended


def named(call: str, lists: Iterable[list[T]]) -> Iterator[tuple[str, list[T]]]:
    """Yield each list with a chunk id, which depends on nothing but its profiles.

    The id consists of `call`, the list's first position, and its length.
    """
    first = 0
    for items in lists:
        yield f"{call}:{first}-{len(items)}", items
        first += len(items)
