"""How many contacts in a row came to nothing, whichever lane they are of."""

from __future__ import annotations

from app.delivery.doubts import LIFE_SECONDS, Doubts


def test_contacts_are_counted_once_each_until_one_is_answered() -> None:
    doubts = Doubts()
    assert [doubts.note("camp", key, 10.0) for key in ("a", "b", "a", "c")] == [1, 2, 2, 3]
    assert doubts.note("other", "a", 10.0) == 1
    doubts.answered("camp")
    assert doubts.note("camp", "d", 11.0) == 1
    assert doubts.note("other", "b", 11.0) == 2


def test_what_came_to_nothing_long_ago_tells_nothing() -> None:
    doubts = Doubts()
    doubts.note("camp", "a", 0.0)
    doubts.note("camp", "b", 1.0)
    assert doubts.note("camp", "c", LIFE_SECONDS + 0.5) == 2
