"""The delivered state: small rows that round trip, and hold neither keys nor values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lanes.delivered import (
    TAG_BYTES,
    Delivered,
    Order,
    age_days,
    attribute_tag,
    contact_tag,
    decode,
    encode,
    value_digest,
)

DAY_MS = 86_400_000
START_MS = 1_577_836_800_000  # 2020-01-01T00:00:00Z
PEPPER = b"p" * 32

scalars = st.text(st.characters(codec="utf-8")) | st.integers() | st.floats(allow_nan=False) | st.booleans()
orders = st.builds(
    Order, st.integers(0, 2**48 - 1), st.booleans(), st.integers(0, 2**48 - 1), st.integers(0, 2**24 - 1)
)
items = st.builds(Delivered, st.binary(min_size=6, max_size=6), orders)
states = st.dictionaries(st.binary(min_size=4, max_size=4), items, max_size=20)
moments = st.integers(START_MS, START_MS + 65_535 * DAY_MS)


@given(states, moments)
def test_a_state_comes_back_as_it_was(state: dict[bytes, Delivered], now_ms: int) -> None:
    assert decode(encode(state, now_ms)) == state


@given(states, moments)
def test_a_row_is_small(state: dict[bytes, Delivered], now_ms: int) -> None:
    orders = {item.order for item in state.values()}
    assert len(encode(state, now_ms)) == 4 + 16 * len(orders) + 12 * len(state)


@pytest.mark.parametrize("nothing", [None, b""])
def test_a_contact_that_never_was_has_nothing(nothing: bytes | None) -> None:
    assert decode(nothing) == {}


def test_versions_beyond_either_end() -> None:
    tag, digest = b"name", b"digest"
    held = decode(encode({tag: Delivered(digest, Order(-1, True, 1, 2))}, START_MS))  # before 1970
    assert held == {tag: Delivered(digest, Order(0, True, 1, 2))}
    with pytest.raises(
        OverflowError
    ):  # the year 10889; `app.mapping.compiled` takes no version that is after its arrival
        encode({tag: Delivered(digest, Order(2**48, True, 1, 2))}, START_MS)


@given(st.integers(0, 60_000), st.integers(0, 5_000), st.integers(0, DAY_MS - 1))
def test_the_age_counts_days_since_the_row_was_written(written: int, later: int, of_the_day: int) -> None:
    made = encode({}, START_MS + written * DAY_MS)
    assert age_days(made, START_MS + (written + later) * DAY_MS + of_the_day) == later


def test_a_clock_before_2020_does_not_break_a_row() -> None:
    assert age_days(encode({}, 0), START_MS) == 0


class TestDigests:
    @given(
        st.lists(
            st.text(st.characters(codec="utf-8", min_codepoint=33), min_size=12, max_size=40), min_size=1, max_size=5
        )
    )
    def test_a_row_holds_no_value_in_clear(self, values: list[str]) -> None:
        made = encode(
            {
                attribute_tag(f"Set.{n}"): Delivered(value_digest(value, PEPPER), Order(1, True, 1, 1))
                for n, value in enumerate(values)
            },
            START_MS,
        )
        for value in values:
            for width in (4, 6):  # not even a piece as long as a digest
                pieces = [value.encode()[at : at + width] for at in range(0, len(value) - width, width)]
                assert not [piece for piece in pieces if piece in made]

    @given(scalars)
    def test_a_value_has_one_digest_for_one_pepper(self, value: str | float | bool) -> None:
        assert value_digest(value, PEPPER) == value_digest(value, PEPPER)
        assert value_digest(value, PEPPER) != value_digest(value, b"q" * 32)
        assert len(value_digest(value, PEPPER)) == 6

    @given(scalars, scalars)
    def test_other_values_have_other_digests(self, one: str | float | bool, other: str | float | bool) -> None:
        same = (type(one), str(one)) == (type(other), str(other))
        assert (value_digest(one, PEPPER) == value_digest(other, PEPPER)) is same

    def test_the_type_counts(self) -> None:
        assert len({value_digest(value, PEPPER) for value in (True, 1, 1.0, "1", "True", "1.0", "int:1")}) == 7


class TestTags:
    @given(st.text(st.characters(codec="utf-8"), min_size=8))
    def test_a_contact_is_found_by_a_tag_that_only_the_pepper_leads_to(self, key: str) -> None:
        tag = contact_tag(key, PEPPER)
        assert tag == contact_tag(key, PEPPER)
        assert len(tag) == TAG_BYTES
        assert tag != contact_tag(key, b"q" * 32)
        assert key.encode() not in tag

    @pytest.mark.parametrize(
        ("one", "other"), [("c-1", "C-1"), ("c-1", "c-1 "), ("e\u0301", "\u00e9"), ("1", "01"), ("", " ")]
    )
    def test_contact_keys_are_taken_exactly(self, one: str, other: str) -> None:
        assert contact_tag(one, PEPPER) != contact_tag(other, PEPPER)

    def test_ten_thousand_contacts_have_ten_thousand_tags(self) -> None:
        assert len({contact_tag(f"c-{number}", PEPPER) for number in range(10_000)}) == 10_000

    def test_the_tags_of_attributes_are_the_same_everywhere(self) -> None:
        """Not keyed: they rest in rows that are read for years, by any process."""
        assert attribute_tag("Email Addresses.Email Address").hex() == "b381346e"
        assert len({attribute_tag(f"Email Demographics.Field {number}") for number in range(250)}) == 250
