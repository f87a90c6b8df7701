"""Profiles are appended in steps that are bounded, and none is lost to an error behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.chunks import bounded, named
from app.errors import ServiceUnreachable
from app.lanes.bounds import Readied, ready


def profiles(*contacts: int) -> Iterator[tuple[int, Readied]]:
    """Each has a number, and says of how many contacts it is."""
    return ((number, ready({"contacts": count})) for number, count in enumerate(contacts))  # of 14 bytes each


@pytest.mark.parametrize(
    ("contacts", "most", "most_bytes", "lists"),
    [
        ([], 2, 1_000, []),
        ([1, 1, 1], 2, 1_000, [[0, 1], [2]]),
        ([1, 1, 1, 1], 2, 1_000, [[0, 1], [2, 3]]),
        ([1, 3, 1], 2, 1_000, [[0, 1], [2]]),
        ([1, 1, 1], 9, 28, [[0, 1], [2]]),
        ([3, 1], 9, 28, [[0], [1]]),
    ],
)
def test_lists_end_once_they_are_full(contacts: list[int], most: int, most_bytes: int, lists: list[list[int]]) -> None:
    found = bounded(profiles(*contacts), lambda profile: profile["contacts"], most=most, most_bytes=most_bytes)
    assert [[number for number, _ in items] for items in found] == lists


def test_what_came_before_an_error_is_handed_on_before_it() -> None:
    def broken() -> Iterator[tuple[int, Readied]]:
        yield from profiles(1, 1, 1)
        raise ServiceUnreachable("The file is cut off.")

    lists = bounded(broken(), lambda _: 1, most=2, most_bytes=1_000)
    assert [len(next(lists)), len(next(lists))] == [2, 1]
    with pytest.raises(ServiceUnreachable):
        next(lists)


def test_parts_are_named_by_what_is_in_them() -> None:
    assert [name for name, _ in named("call", [[1, 2], [3]])] == ["call:0-2", "call:2-1"]
