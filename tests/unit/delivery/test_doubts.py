"""How many contacts in a row came to nothing, whichever lane they are of."""

from __future__ import annotations

from app.delivery.doubts import LIFE_SECONDS, Doubts


def test_contacts_are_counted_once_each_until_one_is_answered() -> None:
    doubts = Doubts()
    assert [doubts.note("camp", "1", key, 10.0) for key in ("a", "b", "a", "c")] == [1, 2, 2, 3]
    assert doubts.note("other", "1", "a", 10.0) == 1
    doubts.forget("camp")
    assert doubts.note("camp", "1", "d", 11.0) == 1
    assert doubts.note("other", "1", "b", 11.0) == 2


def test_what_came_to_nothing_long_ago_tells_nothing() -> None:
    doubts = Doubts()
    doubts.note("camp", "1", "a", 0.0)
    doubts.note("camp", "1", "b", 1.0)
    assert doubts.note("camp", "1", "c", LIFE_SECONDS + 0.5) == 2


def test_what_was_seen_before_a_connect_or_a_change_of_state_tells_nothing() -> None:
    doubts = Doubts()
    for key in "abcd":
        doubts.note("camp", "1", key, 0.0)
    assert doubts.note("camp", "2", "e", 1.0) == 1
