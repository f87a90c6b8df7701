"""What a call carries and what becomes of every update, case by case, and what holds whatever comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lanes.delivered import Delivered, Order, attribute_tag, value_digest
from app.lanes.merge import Merged, Stamp, Tags, Update, merge
from app.mapping.update import Value

V = Value  # so that a row of a table is one line
PEPPER = b"p" * 32
NAMES = ("Email Demographics.First Name", "Email Demographics.City", "Email Addresses.Email Address")
FIRST, CITY, EMAIL = NAMES


def told(values: Mapping[str, V], *, force: bool = False, early: bool = False) -> Update:
    """An update, enqueued after what is held; `early`: before all others."""
    return Update(values, Stamp(True, 0 if early else 2, 0), force)


def merged(updates: Sequence[Update], delivered: Mapping[bytes, Delivered]) -> Merged:
    """Of updates that were enqueued in this order, but for the early ones."""
    updates = [replace(update, stamp=Stamp(True, update.stamp.ms, position)) for position, update in enumerate(updates)]
    return merge(updates, delivered, pepper=PEPPER, tags=Tags())


def row(values: Mapping[str, V]) -> dict[bytes, Delivered]:
    """The delivered state that holds these values."""
    return {
        attribute_tag(name): Delivered(value_digest(v.value, PEPPER), Order(v.version_ms, True, 1, 0))
        for name, v in values.items()
    }


def outcomes(result: Merged, count: int) -> str:
    """One letter for each update in order: c(ontributing), u(nchanged), s(uperseded); `?` for none or several."""
    of = [(result.contributing, "c"), (result.unchanged, "u"), (result.superseded, "s")]
    letters = ["".join(letter for positions, letter in of if position in positions) for position in range(count)]
    return "".join(letter if len(letter) == 1 else "?" for letter in letters)


A, B, A2, B2 = V("a", 1), V("b", 1), V("a", 2), V("b", 2)


@pytest.mark.parametrize(
    ("new", "held", "send", "expected"),
    [
        pytest.param([], {}, {}, "", id="nothing waits"),
        pytest.param([told({FIRST: A})], {}, {FIRST: "a"}, "c", id="a new contact"),
        pytest.param([told({})], {}, {}, "u", id="nothing to set"),
        pytest.param([told({FIRST: A2})], {FIRST: A}, {}, "u", id="the same value, newer"),
        pytest.param([told({FIRST: A})], {FIRST: A}, {}, "u", id="the same value and version"),
        pytest.param([told({FIRST: A}, early=True)], {FIRST: A}, {}, "u", id="the same, enqueued before"),
        pytest.param([told({FIRST: A})], {FIRST: A2}, {}, "u", id="the same value, older"),
        pytest.param([told({FIRST: B2})], {FIRST: A}, {FIRST: "b"}, "c", id="a newer value"),
        pytest.param([told({FIRST: B})], {FIRST: A2}, {}, "s", id="an older value"),
        pytest.param([told({FIRST: B})], {FIRST: A}, {FIRST: "b"}, "c", id="equal versions: what was enqueued later wins"),
        pytest.param(
            [told({FIRST: B}, early=True)], {FIRST: A}, {}, "s",
            id="equal versions: one that was enqueued before yields to what was delivered",
        ),
        pytest.param([told({FIRST: B2}, early=True)], {FIRST: A}, {FIRST: "b"}, "c", id="a newer one that was enqueued before"),
        pytest.param(
            [told({FIRST: A}), told({FIRST: B2})], {}, {FIRST: "b"}, "sc", id="the newer one came last"
        ),
        pytest.param(
            [told({FIRST: B2}), told({FIRST: A})], {}, {FIRST: "b"}, "cs", id="the newer one came first"
        ),
        pytest.param(
            [told({FIRST: A}), told({FIRST: B})], {}, {FIRST: "b"}, "sc", id="equal versions: last come wins"
        ),
        pytest.param(
            [told({FIRST: A}), told({FIRST: B}, early=True)], {}, {FIRST: "a"}, "cs",
            id="equal versions: one that was enqueued before yields to who waits",
        ),
        pytest.param(
            [told({FIRST: A}, early=True), told({FIRST: B})], {}, {FIRST: "b"}, "sc",
            id="equal versions: one that came meanwhile beats an earlier one",
        ),
        pytest.param(
            [told({FIRST: A}), told({FIRST: A})], {}, {FIRST: "a"}, "uc", id="a repeat: one of them is enough"
        ),
        pytest.param(
            [told({FIRST: A}), told({FIRST: A2})], {}, {FIRST: "a"}, "sc", id="the same value at a newer version"
        ),
        pytest.param(
            [told({FIRST: A}), told({CITY: A})], {}, {FIRST: "a", CITY: "a"}, "cc",
            id="two attributes from two updates in one call",
        ),
        pytest.param(
            [told({FIRST: A, CITY: A}), told({FIRST: B2})], {}, {FIRST: "b", CITY: "a"}, "cc",
            id="what is left of the older one contributes",
        ),
        pytest.param(
            [told({FIRST: A, CITY: A}), told({FIRST: B2})], {CITY: A}, {FIRST: "b"}, "uc",
            id="what is left of the older one is there already",
        ),
        pytest.param(
            [told({FIRST: A, CITY: A}), told({FIRST: B2, CITY: B2})], {}, {FIRST: "b", CITY: "b"}, "sc",
            id="nothing is left of the older one",
        ),
        pytest.param(
            [told({FIRST: A, CITY: B2})], {FIRST: A2, CITY: A}, {CITY: "b"}, "c", id="newer in one, older in another"
        ),
        pytest.param(
            [told({FIRST: A2, EMAIL: A2})], {EMAIL: A}, {FIRST: "a"}, "c", id="only the attribute that differs"
        ),
        pytest.param([told({FIRST: A2}, force=True)], {FIRST: A}, {FIRST: "a"}, "c", id="forced, newer"),
        pytest.param([told({FIRST: A}, force=True)], {FIRST: A}, {FIRST: "a"}, "c", id="forced, the very same"),
        pytest.param([told({FIRST: A}, force=True)], {FIRST: A2}, {FIRST: "a"}, "c", id="forced, the same value, older"),
        pytest.param([told({FIRST: B}, force=True)], {FIRST: A2}, {}, "s", id="forced, but older"),
        pytest.param(
            [told({FIRST: A}, force=True), told({FIRST: B2})], {FIRST: B}, {}, "su",
            id="forced, but a newer one that is there already wins",
        ),
        pytest.param([told({FIRST: A}), told({FIRST: A})], {FIRST: B2}, {}, "ss", id="a repeat of what is too old"),
    ],
)  # fmt: skip
def test_outcomes(new: list[Update], held: dict[str, V], send: dict[str, Any], expected: str) -> None:
    result = merged(new, row(held))
    assert result.send == send
    assert outcomes(result, len(new)) == expected


@pytest.mark.parametrize(("held", "new"), [(True, 1), (1, "1"), (1, 1.0), (0, False), ("true", True), ("", 0)])
def test_values_of_another_type_differ(held: Any, new: Any) -> None:
    assert merged([told({FIRST: V(new, 2)})], row({FIRST: V(held, 1)})).send == {FIRST: new}


def test_full_holds_the_winners_that_are_there_already_for_a_contact_that_has_to_be_made() -> None:
    result = merged([told({FIRST: A2, CITY: B2, EMAIL: A})], row({FIRST: A, EMAIL: A2}))
    assert result.full == {FIRST: "a", CITY: "b", EMAIL: "a"}
    assert result.send == {CITY: "b"}


def test_full_holds_a_value_that_was_delivered_already_at_its_version() -> None:
    result = merged([told({EMAIL: A, CITY: B2}, early=True)], row({EMAIL: A}))
    assert result.full == {EMAIL: "a", CITY: "b"}
    assert result.send == {CITY: "b"}


def test_an_unchanged_value_takes_its_newer_version_so_that_a_late_one_loses() -> None:
    first = merged([told({FIRST: V("a", 5)})], row({FIRST: V("a", 1)}))
    assert first.send == {}
    assert merged([told({FIRST: V("b", 3)})], first.after).superseded == [0]


scalars: st.SearchStrategy[str | int | float | bool] = st.sampled_from(["a", "b", "", 0, 1, True, False, 1.0])
values = st.dictionaries(st.sampled_from(NAMES), st.builds(V, scalars, st.integers(0, 5)))
updates = st.lists(st.builds(told, values, force=st.booleans(), early=st.booleans()), max_size=6)
calm = st.lists(st.builds(told, values, early=st.booleans()), max_size=6)
rows = values.map(row)


@given(calm, rows)
def test_without_force_what_is_sent_is_what_differs(new: list[Update], state: dict[bytes, Delivered]) -> None:
    result = merged(new, state)
    for name, value in result.full.items():
        before = state.get(attribute_tag(name))
        differs = before is None or before.digest != value_digest(value, PEPPER)
        assert (name in result.send) is differs


@given(updates, rows)
def test_all_that_is_won_is_noted_and_nothing_else_is_touched(new: list[Update], state: dict[bytes, Delivered]) -> None:
    before = dict(state)
    result = merged(new, state)
    assert state == before
    for name, value in result.full.items():
        assert result.after[attribute_tag(name)].digest == value_digest(value, PEPPER)
    lost = {tag for tag in state if tag not in {attribute_tag(name) for name in result.full}}
    assert {tag: result.after[tag] for tag in lost} == {tag: state[tag] for tag in lost}


@given(updates, rows)
def test_a_version_never_goes_back(new: list[Update], state: dict[bytes, Delivered]) -> None:
    result = merged(new, state)
    for tag, before in state.items():
        assert result.after[tag].order >= before.order
    for update in new:
        for name, value in update.values.items():
            assert result.after[attribute_tag(name)].order.version_ms >= value.version_ms


@given(updates, rows)
def test_who_contributes_wrote_something_that_is_sent(new: list[Update], state: dict[bytes, Delivered]) -> None:
    result = merged(new, state)
    assert "?" not in outcomes(result, len(new))
    for position in result.contributing:
        assert any(result.send.get(name) == value.value for name, value in new[position].values.items())
    assert set(result.send) <= {name for position in result.contributing for name in new[position].values}
