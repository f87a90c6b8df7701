"""A repeat keeps the place of its first arrival, wherever and whenever it comes within ten minutes."""

from __future__ import annotations

import gzip
import json
import signal
from collections.abc import Callable

import pytest

from app.intake.repeats import Arrival, Repeats
from app.keys import SEEN_LIFE_SECONDS, SEEN_WINDOW_SECONDS, DestinationKeys
from app.moments import parse_time
from tests.integration.intake.conftest import Installation, person, wait_until

OLD, NEW = person(1, first="Old"), person(1, first="New")


def winner(installation: Installation) -> str:
    """The first name that wins for the contact among what waits: the greatest version, which no arrival is before, then the stamp."""
    found = []
    for entry in installation.entries():
        profile, origin = entry.open(installation.resources.ring, "camp"), entry.origin
        if profile["identityMap"]["contactKey"][0]["id"] == "c-1":
            own = profile.get("occurredAt")
            version_ms = origin.occurred_at_ms if own is None else parse_time(own)
            found.append((min(version_ms, origin.stamp_ms), origin.stamp, profile["person"]["name"]["firstName"]))
    return str(max(found)[2])


def places(installation: Installation) -> list[tuple[str, Arrival]]:
    """The first names that wait, with their places, in that order."""
    return [
        (
            entry.open(installation.resources.ring, "camp")["person"]["name"]["firstName"],
            Arrival(entry.origin.occurred_at_ms, entry.origin.stamp_ms, entry.origin.stamp_number),
        )
        for entry in installation.entries()
    ]


def test_an_older_body_that_comes_again_stays_older(intake: Installation) -> None:
    for body in (OLD, NEW, OLD, OLD):
        assert intake.post(body).status_code == 202
    names = [name for name, _ in places(intake)]
    assert names == ["Old", "Old", "Old", "New"]
    assert len({place for name, place in places(intake) if name == "Old"}) == 1


def test_so_it_does_packed_otherwise_and_as_one_of_many(intake: Installation) -> None:
    several = [person(number, first="Old") for number in range(1, 30)]
    intake.post(several)
    first = {place for _, place in places(intake)}
    intake.post(NEW)
    body = json.dumps(several).encode()
    intake.post(data=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    intake.post(several)
    assert len(first) == 29
    assert places(intake)[-1][0] == "New"


def test_a_repeat_is_known_after_a_restart_and_by_other_processes(make: Callable[..., Installation]) -> None:
    installation = make()
    installation.start()
    installation.post(OLD)
    installation.post(NEW)
    installation.stack.stop_one("intake")
    installation.start(processes=2)
    for _ in range(8):
        assert installation.post(OLD).status_code == 202
    assert [name for name, _ in places(installation)] == ["Old"] * 9 + ["New"]


def test_a_body_that_could_not_be_taken_keeps_its_arrival(make: Callable[..., Installation]) -> None:
    installation = make()
    installation.start()
    assert installation.post(person(2)).status_code == 202  # the destination is known from now on
    installation.signal("redis", signal.SIGSTOP)
    assert installation.post(OLD).status_code == 503
    installation.signal("redis", signal.SIGCONT)
    wait_until(lambda: installation.post(NEW).status_code == 202, "Redis takes profiles again")
    assert installation.post(OLD).status_code == 202
    assert [name for name, _ in places(installation) if name != "Ann"][-1] == "New"
    assert winner(installation) == "New"


def test_what_says_its_own_time_has_it(intake: Installation) -> None:
    intake.post({**NEW, "occurredAt": "2026-11-22T11:00:00Z"})
    intake.post({**OLD, "occurredAt": "2026-11-22T10:00:00Z"})
    assert winner(intake) == "New"


def test_the_memory_ends(intake: Installation) -> None:
    intake.post(OLD)
    keys = list(intake.redis.scan_iter(match="act:{camp}:seen:*"))
    assert len(keys) == 1
    assert 600 <= intake.redis.ttl(keys[0]) <= SEEN_LIFE_SECONDS + SEEN_WINDOW_SECONDS


@pytest.mark.parametrize("minutes", [0, 1, 4.9, 5.1, 9.9])
def test_for_ten_minutes_at_least(intake: Installation, minutes: float) -> None:
    repeats = Repeats(intake.redis)
    first_ms = 1_795_341_600_000 - 1
    first = Arrival(first_ms, first_ms + 3, 7)
    later = Arrival(first_ms + int(minutes * 60_000), first_ms + int(minutes * 60_000) + 1, 9)
    assert repeats.arrivals("camp", [(b"digest", first)]) == [first]
    assert repeats.arrivals("camp", [(b"digest", later)]) == [first]
    assert repeats.arrivals("camp", [(b"digest", first)]) == [first]


def test_not_for_ever_and_the_earliest_counts(intake: Installation) -> None:
    repeats = Repeats(intake.redis)
    first_ms = 1_795_341_600_000
    late, early = Arrival(first_ms + 100, first_ms + 100, 1), Arrival(first_ms, first_ms, 1)
    assert repeats.arrivals("camp", [(b"digest", late)]) == [late]
    assert repeats.arrivals("camp", [(b"digest", early), (b"digest", late)]) == [early, early]
    for key in intake.redis.scan_iter(match="act:{camp}:seen:*"):
        intake.redis.delete(key)
    much_later = Arrival(first_ms + 1_000_000, first_ms + 1_000_000, 1)
    repeats.arrivals("camp", [(b"digest", early)])
    assert repeats.arrivals("camp", [(b"digest", much_later)]) == [much_later]
    assert DestinationKeys("camp").seen(first_ms // 300_000) in {
        key.decode() for key in intake.redis.scan_iter(match="*:seen:*")
    }


def test_a_large_body_that_comes_again_takes_its_very_places(intake: Installation) -> None:
    many = [person(number, first="Old") for number in range(1_300)]
    assert intake.post(many).json()["accepted"] == 1_300
    found = places(intake)
    assert len({place for _, place in found}) == 1_300
    assert intake.post(many).json()["accepted"] == 1_300
    assert sorted({place for _, place in places(intake)}, key=str) == sorted({place for _, place in found}, key=str)
