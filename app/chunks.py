"""What is appended in one step: profiles in lists that are bounded, with ids that say which of a call's they are. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from app.errors import ActivationError
from app.lanes.bounds import Readied

T = TypeVar("T")

MOST_CONTACTS = 500  # of one step: a few ms of the server's time
MOST_BYTES = 4_000_000


def bounded(
    items: Iterable[tuple[T, Readied]],
    contacts: Callable[[Any], int],
    *,
    most: int = MOST_CONTACTS,
    most_bytes: int = MOST_BYTES,
) -> Iterator[list[tuple[T, Readied]]]:
    """Profiles in lists that end once they hold `most` or `most_bytes`, each counted once for each of its `contacts`.

    What came before an error of ours is handed on before it.
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
    """The parts of a call with ids that say which of its profiles they are, whatever bounded them."""
    first = 0
    for items in lists:
        yield f"{call}:{first}-{len(items)}", items
        first += len(items)
