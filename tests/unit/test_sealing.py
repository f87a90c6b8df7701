from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SealBroken, UsageError
from app.sealing import KeyRing, make_key

OLD, NEW = make_key(), make_key()
RING = KeyRing([OLD])


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=20))
def test_what_is_sealed_opens_for_its_purpose_alone(clear: bytes, purpose: bytes) -> None:
    sealed = RING.seal(clear, purpose)
    assert RING.open(sealed, purpose) == clear
    with pytest.raises(SealBroken):
        RING.open(sealed, purpose + b"x")


@given(st.integers(0, 60), st.integers(1, 255))
def test_a_changed_byte_is_noticed(position: int, change: int) -> None:
    sealed = bytearray(RING.seal(b"some clear text, long enough", b"p"))
    sealed[position % len(sealed)] ^= change
    with pytest.raises(SealBroken):
        RING.open(bytes(sealed), b"p")


def test_the_same_text_is_never_sealed_the_same() -> None:
    assert len({RING.seal(b"text", b"p") for _ in range(100)}) == 100


def test_rotation() -> None:
    sealed = RING.seal(b"text", b"p")
    both = KeyRing([NEW, OLD])
    assert both.open(sealed, b"p") == b"text"
    renewed = both.seal(b"text", b"p")
    assert KeyRing([NEW]).open(renewed, b"p") == b"text"
    with pytest.raises(SealBroken):
        KeyRing([NEW]).open(sealed, b"p")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x02" + bytes(40), b"plain text that nobody sealed"])
def test_what_was_never_sealed(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        RING.open(sealed, b"p")


@pytest.mark.parametrize("keys", [[], ["short"], [OLD, "c2hvcnQ="], ["ключ"]])
def test_bad_keys_are_refused_with_their_position_and_not_quoted(keys: list[str]) -> None:
    with pytest.raises(UsageError, match="ACTIVATION_SECRET_KEYS") as refused:
        KeyRing(keys)
    assert "make_key" in refused.value.remedy
    assert not any(key in str(refused.value) for key in keys)
