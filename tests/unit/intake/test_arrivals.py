from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.clock import RedisClock, following
from app.intake.repeats import Arrival, body_digest

MS = st.integers(0, 2**42)


@given(MS, st.integers(0, 100_000), st.integers(0, 2**24 - 1))
def test_an_arrival_is_kept_as_it_was(first, later, number):
    arrival = Arrival(first, first + later, number)
    assert Arrival.decoded(arrival.encoded().encode()) == arrival


def test_a_digest_tells_bodies_apart_and_is_keyed():
    pepper, other = bytes(32), bytes(31) + b"1"
    assert body_digest(b"a", pepper) == body_digest(b"a", pepper)
    assert len({body_digest(body, key) for body in (b"a", b"b") for key in (pepper, other)}) == 4


class Still:
    """A Redis whose clock stands."""

    def time(self):
        return (1_000_000, 0)


@given(st.lists(st.one_of(st.integers(1, 5), st.integers(4_000, 9_000)), min_size=1, max_size=6))
def test_stamps_made_at_once_are_in_order_and_nobody_elses(counts):
    clock = RedisClock(Still())
    made = []
    for count in counts:
        first = clock.stamp(count)
        made += [following(first, place) for place in range(count)]
    assert made == sorted(set(made))
    assert all(0 <= number < 1 << 24 for _, number in made)
