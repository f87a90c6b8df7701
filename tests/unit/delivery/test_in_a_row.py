"""How many contacts in a row met the same trouble, whichever lane they are of."""

from __future__ import annotations

from app.delivery.in_a_row import LIFE_SECONDS, InARow


def test_contacts_are_counted_once_each_until_one_is_answered() -> None:
    row = InARow()
    assert [row.note("camp", "1", key, 10.0) for key in ("a", "b", "a", "c")] == [1, 2, 2, 3]
    assert row.note("other", "1", "a", 10.0) == 1
    row.forget("camp")
    assert row.note("camp", "1", "d", 11.0) == 1
    assert row.note("other", "1", "b", 11.0) == 2


def test_what_came_to_nothing_long_ago_tells_nothing() -> None:
    row = InARow()
    row.note("camp", "1", "a", 0.0)
    row.note("camp", "1", "b", 1.0)
    assert row.note("camp", "1", "c", LIFE_SECONDS + 0.5) == 2


def test_what_was_seen_before_a_connect_or_a_change_of_state_tells_nothing() -> None:
    row = InARow()
    for key in "abcd":
        row.note("camp", "1", key, 0.0)
    assert row.note("camp", "2", "e", 1.0) == 1
