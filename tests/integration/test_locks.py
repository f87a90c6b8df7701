"""Who holds a lock, and what becomes of it."""

from __future__ import annotations

import pytest
from redis import Redis

from app.locks import locked

KEY = "act:sweep"


def test_one_holds_it_and_it_is_free_behind_the_block(redis: Redis) -> None:
    with locked(redis, KEY, 60_000) as first, locked(redis, KEY, 60_000) as second:
        assert (first, second) == (True, False)
        assert 0 < redis.pttl(KEY) <= 60_000  # type: ignore[operator]  # no pipeline
    with locked(redis, KEY, 60_000) as again:
        assert again


def test_who_did_not_get_it_leaves_it_to_its_holder(redis: Redis) -> None:
    with locked(redis, KEY, 60_000):
        with locked(redis, KEY, 60_000) as mine:
            assert not mine
        assert redis.exists(KEY)


def test_it_is_free_after_an_error(redis: Redis) -> None:
    with pytest.raises(ZeroDivisionError), locked(redis, KEY, 60_000):
        _ = 1 / 0
    assert not redis.exists(KEY)


def test_one_that_has_ended_meanwhile_is_not_taken_from_its_next_holder(redis: Redis) -> None:
    with locked(redis, KEY, 60_000):
        redis.delete(KEY)  # as at the end of its life
        redis.set(KEY, "another")
    assert redis.get(KEY) == b"another"
