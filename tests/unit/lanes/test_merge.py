"""Merging against the simplest possible rule, whatever the order of arrival."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lanes.delivered import (
    UNKNOWN,
    UNKNOWN_SINCE,
    Delivered,
    Order,
    age_days,
    attribute_tag,
    contact_tag,
    decode,
    encode,
    value_digest,
)
from app.lanes.merge import Merged, Stamp, Tags, Update, merge
from app.mapping.update import Value

V = Value  # so that a row of a table is one line
PEPPER = b"p" * 16
TAGS = Tags()
DAY_MS = 86_400_000


names = st.sampled_from(["A.one", "A.two", "B.three"])
values = st.builds(V, st.sampled_from(["x", "y", "z"]), st.integers(0, 5))
stamps = st.builds(Stamp, st.booleans(), st.integers(0, 3), st.integers(0, 3))
updates = st.builds(Update, st.dictionaries(names, values, max_size=3), stamps, force=st.booleans())
# one value for each version, as of one source of truth: then the order of arrival must not matter at all
truthful = st.builds(
    Update,
    st.dictionaries(names, st.integers(0, 9).map(lambda version: V(f"v{version}", version)), max_size=3),
    stamps,
)


def told(values: dict[str, V], *, force: bool = False, at: int = 1, live: bool = True) -> Update:
    return Update(values, Stamp(live, at, 0), force)


def of(*items: Update, row: dict[bytes, Delivered] | None = None) -> Merged:
    return merge(items, row or {}, pepper=PEPPER, tags=TAGS)


def row_of(**held: V) -> dict[bytes, Delivered]:
    """As told live at 1."""
    return {
        TAGS[f"A.{name}"]: Delivered(value_digest(v.value, PEPPER), Order(v.version_ms, True, 1, 0))
        for name, v in held.items()
    }


@given(st.lists(updates, max_size=6), st.lists(updates, max_size=3))
def test_every_update_has_one_place(new: list[Update], before: list[Update]) -> None:
    merged = of(*new, row=of(*before).after)
    places = merged.contributing + merged.unchanged + merged.superseded
    assert sorted(places) == list(range(len(new)))
    assert bool(merged.send) == bool(merged.contributing)
    assert merged.send.items() <= merged.full.items()


@given(st.lists(truthful, max_size=8), st.randoms())
def test_any_order_and_any_repeats_converge_on_the_newest(new: list[Update], dice: object) -> None:
    shuffled = new + new[:3]
    dice.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    newest: dict[str, V] = {}
    for update in new:
        for name, item in update.values.items():
            if name not in newest or item.version_ms > newest[name].version_ms:
                newest[name] = item  # type: ignore[assignment]  # the values of `truthful`
    merged = of(*shuffled)
    assert merged.send == {name: item.value for name, item in newest.items()}
    again = of(*new, row=merged.after)
    assert again.send == {}
    assert again.after == merged.after


@given(st.lists(truthful, max_size=8), st.integers(0, 8))
def test_in_one_call_or_in_many_the_end_is_the_same(new: list[Update], cut: int) -> None:
    first = of(*new[:cut])
    second = of(*new[cut:], row=first.after)
    held = first.send | second.send
    assert second.after == of(*new).after
    assert held == of(*new).send


@given(
    st.lists(st.dictionaries(names, st.integers(0, 2), min_size=1, max_size=3), max_size=7),
    st.lists(st.booleans(), min_size=7, max_size=7),
    st.lists(st.integers(0, 3), min_size=7, max_size=7),
    st.randoms(),
)
def test_one_total_order_decides_whatever_is_tried_when(
    versions: list[dict[str, int]], live: list[bool], waves: list[int], dice: object
) -> None:
    """Entries with few versions, live and backfill, in any number of calls and in any order: parked, failed, replayed."""
    entries = [
        Update(
            {name: V(f"{number}", version) for name, version in item.items()}, Stamp(live[number], number // 2, number)
        )
        for number, item in enumerate(versions)
    ]
    last: dict[str, tuple[Order, str]] = {}
    for entry in entries:
        for name, item in entry.values.items():
            order = Order(item.version_ms, *entry.stamp)
            last[name] = max(last.get(name, (order, str(item.value))), (order, str(item.value)))
    held: dict[str, object] = {}
    row: dict[bytes, Delivered] = {}
    for wave in range(4):
        some = [entry for number, entry in enumerate(entries) if waves[number] == wave]
        dice.shuffle(some)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
        merged = of(*some, row=row)
        held |= merged.send
        row = merged.after
    assert held == {name: value for name, (_, value) in last.items()}


def test_a_lost_answer_lets_nothing_older_follow_and_lets_the_same_be_tried_again() -> None:
    older, newer, newest = told({"A.one": V("x", 1)}), told({"A.one": V("y", 1)}, at=2), told({"A.one": V("z", 2)})
    uncertain = of(older, newer).uncertain
    assert uncertain[TAGS["A.one"]] == Delivered(UNKNOWN, Order(1, True, 2, 0))
    assert of(older, row=uncertain).superseded == [0]
    assert of(newer, row=uncertain).send == {"A.one": "y"}
    assert of(newest, row=uncertain).send == {"A.one": "z"}
    assert of(told({"A.two": V("x", 1)}), row=uncertain).send == {"A.two": "x"}


def test_a_lost_answer_leaves_it_known_that_the_attribute_was_delivered_once() -> None:
    held = row_of(one=V("x", 1), two=V("x", 1))
    new = told({"A.one": V("y", 2), "A.two": V("x", 2)}, force=True)
    lost = Delivered(UNKNOWN_SINCE, Order(2, True, 1, 0))
    assert of(new, row=held).uncertain == held | {TAGS["A.one"]: lost}, "what was there already stays there"


@pytest.mark.parametrize(
    ("held", "new", "sent"),
    [
        (V("x", 1), told({"A.one": V("y", 2)}), {"A.one": "y"}),
        (V("x", 2), told({"A.one": V("y", 1)}), {}),
        (V("x", 1), told({"A.one": V("x", 2)}), {}),
        (V("x", 1), told({"A.one": V("x", 2)}, force=True), {"A.one": "x"}),
        (V("x", 2), told({"A.one": V("y", 1)}, force=True), {}),
        (V("x", 1), told({"A.one": V("y", 1)}, at=2), {"A.one": "y"}),
        (V("x", 1), told({"A.one": V("y", 1)}, at=0), {}),
        (V("x", 1), told({"A.one": V("y", 1)}), {}),
        (V("x", 1), told({"A.one": V("y", 1)}, at=2, live=False), {}),
        (V(1, 1), told({"A.one": V("1", 2)}), {"A.one": "1"}),
        (V(1, 1), told({"A.one": V(True, 2)}), {"A.one": True}),
    ],
)
def test_against_what_was_delivered(held: V, new: Update, sent: dict[str, object]) -> None:
    assert of(new, row=row_of(one=held)).send == sent


@pytest.mark.parametrize(
    "new",
    [
        [told({"A.one": V("x", 1)}, force=True, at=0)],
        [told({"A.one": V("x", 1)}, force=True), told({"A.one": V("x", 1)}, at=2)],
        [told({"A.one": V("x", 1)}), told({"A.one": V("x", 1)}, force=True, at=2)],
    ],
)
def test_force_outlives_parking_and_repeats(new: list[Update]) -> None:
    assert of(*new, row=row_of(one=V("x", 1))).send == {"A.one": "x"}


@pytest.mark.parametrize(
    ("items", "contributing", "unchanged", "superseded"),
    [
        ([{"A.one": V("x", 1)}, {"A.one": V("y", 2)}], [1], [], [0]),
        ([{"A.one": V("y", 2)}, {"A.one": V("x", 1)}], [0], [], [1]),
        ([{"A.one": V("x", 1)}, {"A.one": V("x", 1)}], [1], [0], []),
        ([{"A.one": V("x", 1)}, {"A.two": V("x", 1)}], [0, 1], [], []),
        ([{}, {"A.two": V("x", 1)}], [1], [0], []),
    ],
)
def test_outcomes(
    items: list[dict[str, V]], contributing: list[int], unchanged: list[int], superseded: list[int]
) -> None:
    merged = of(*(told(item, at=number) for number, item in enumerate(items)))
    assert (merged.contributing, merged.unchanged, merged.superseded) == (contributing, unchanged, superseded)


@given(
    st.dictionaries(
        st.binary(min_size=4, max_size=4),
        st.builds(
            Delivered,
            st.binary(min_size=6, max_size=6),
            st.builds(Order, st.integers(0, 2**47), st.booleans(), st.integers(0, 2**47), st.integers(0, 2**24 - 1)),
        ),
        max_size=12,
    ),
    st.integers(18_262 * DAY_MS, 80_000 * DAY_MS),
)
def test_a_row_reads_back_and_knows_its_day(attributes: dict[bytes, Delivered], now_ms: int) -> None:
    row = encode(attributes, now_ms)
    assert decode(row) == attributes
    assert len(row) == 4 + 16 * len({item.order for item in attributes.values()}) + 12 * len(attributes)
    assert age_days(row, now_ms) == 0
    assert age_days(row, now_ms + 30 * DAY_MS) == 30


def test_rows_and_tags_tell_nothing_without_the_pepper() -> None:
    row = encode(of(told({"A.one": V("ann@mail.test", 1)})).after, DAY_MS)
    assert b"ann" not in row
    assert value_digest("ann@mail.test", PEPPER) != value_digest("ann@mail.test", b"q" * 16)
    assert contact_tag("ann", PEPPER) != contact_tag("ann", b"q" * 16)
    assert attribute_tag("A.one") in row
