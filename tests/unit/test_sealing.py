"""Sealing: what one ring sealed opens there, with rotated keys too, and nowhere else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SealBroken, UsageError
from app.sealing import KeyRing, Scope, make_key

OLD, NEW, FOREIGN = make_key(), make_key(), make_key()
RING = KeyRing([OLD])
# version, key id, nonce, and the tag behind the ciphertext
OVERHEAD = 1 + 4 + 12 + 16


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_what_was_sealed_opens_for_its_purpose(clear: bytes, purpose: bytes) -> None:
    assert RING.open(RING.seal(clear, purpose), purpose) == clear


@given(st.binary(min_size=8, max_size=200))
def test_a_sealed_value_does_not_show_what_is_in_it(clear: bytes) -> None:
    sealed = RING.seal(clear, b"profile:demo")
    assert len(sealed) == OVERHEAD + len(clear)
    assert clear not in sealed
    assert RING.seal(clear, b"profile:demo") != sealed  # nobody sees that two are the same


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_it_opens_for_no_other_purpose(one: bytes, other: bytes) -> None:
    sealed = RING.seal(b"clear", one)
    if one == other:
        assert RING.open(sealed, other) == b"clear"
    else:
        with pytest.raises(SealBroken):
            RING.open(sealed, other)


@given(position=st.integers(0, OVERHEAD + 4), bit=st.integers(0, 7))
def test_one_bit_turned_over_anywhere_is_noticed(position: int, bit: int) -> None:
    sealed = bytearray(RING.seal(b"clear", b"profile:demo"))
    sealed[position] ^= 1 << bit
    with pytest.raises(SealBroken):
        RING.open(bytes(sealed), b"profile:demo")


@pytest.mark.parametrize("length", [0, 1, 4, 17, OVERHEAD, OVERHEAD + 4])
def test_a_value_that_was_cut_short_does_not_open(length: int) -> None:
    with pytest.raises(SealBroken):
        RING.open(RING.seal(b"clear", b"profile:demo")[:length], b"profile:demo")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x02" + bytes(40), b"plain text that nobody sealed"])
def test_what_was_never_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        RING.open(sealed, b"profile:demo")


class TestRotation:
    def test_a_new_key_in_front_seals_and_the_old_one_still_opens(self) -> None:
        before, after = KeyRing([OLD]), KeyRing([NEW, OLD])
        old = before.seal(b"clear", b"profile:demo")
        new = after.seal(b"clear", b"profile:demo")
        assert after.open(old, b"profile:demo") == b"clear"
        assert after.open(new, b"profile:demo") == b"clear"
        assert KeyRing([NEW]).open(new, b"profile:demo") == b"clear"
        with pytest.raises(SealBroken):
            before.open(new, b"profile:demo")

    def test_a_key_that_was_taken_out_opens_nothing_more(self) -> None:
        sealed = KeyRing([OLD]).seal(b"clear", b"profile:demo")
        with pytest.raises(SealBroken):
            KeyRing([NEW]).open(sealed, b"profile:demo")

    @pytest.mark.parametrize("sealer", [OLD, NEW, FOREIGN], ids=["old", "new", "foreign"])
    def test_any_key_of_the_ring_opens_wherever_it_stands(self, sealer: str) -> None:
        sealed = KeyRing([sealer]).seal(b"clear", b"profile:demo")
        for ring in ([OLD, NEW, FOREIGN], [FOREIGN, NEW, OLD], [NEW, FOREIGN, OLD]):
            assert KeyRing(ring).open(sealed, b"profile:demo") == b"clear"

    def test_a_value_says_which_key_sealed_it_and_not_the_key(self) -> None:
        one, other = (KeyRing([key]).seal(b"clear", b"p") for key in (OLD, NEW))
        assert one[:1] == other[:1] == b"\x02"
        assert one[1:5] != other[1:5]
        assert one[:5] == KeyRing([OLD, NEW]).seal(b"else", b"q")[:5]
        assert one[1:5] not in base64.urlsafe_b64decode(OLD)


class TestWhatIsSaid:
    def test_the_kind_of_value_and_not_which_one(self) -> None:
        with pytest.raises(SealBroken) as broken:
            KeyRing([NEW]).open(RING.seal(b"clear", b"profile:demo"), b"profile:demo")
        assert str(broken.value).startswith("A sealed profile cannot be opened")
        assert "demo" not in str(broken.value)
        assert "ACTIVATION_SECRET_KEYS" in broken.value.remedy

    @pytest.mark.parametrize(
        "bad",
        [
            "",
            "short",
            "x" * 44,  # 33 bytes
            base64.urlsafe_b64encode(b"k" * 16).decode(),
            base64.urlsafe_b64encode(b"k" * 33).decode(),
            base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("="),
            "schlüssel",
        ],
    )
    def test_a_key_that_is_none_is_named_by_its_position_and_never_shown(self, bad: str) -> None:
        with pytest.raises(UsageError, match="key 2 is not 32 bytes") as refused:
            KeyRing([OLD, bad])
        assert "make_key" in refused.value.remedy
        assert OLD not in str(refused.value)
        assert not bad or bad not in str(refused.value)
        assert refused.value.__cause__ is None

    def test_a_ring_needs_a_key(self) -> None:
        with pytest.raises(UsageError, match="ACTIVATION_SECRET_KEYS is empty"):
            KeyRing([])


def test_keys_are_made_at_random_and_fit() -> None:
    keys = {make_key() for _ in range(50)}
    assert len(keys) == 50
    assert {len(base64.urlsafe_b64decode(key)) for key in keys} == {32}
    assert not [key for key in keys if "," in key]  # the variable holds several, with commas between
    KeyRing(sorted(keys))


def test_a_sealed_value_that_was_cut_off() -> None:
    ring = KeyRing([make_key()])
    sealed = ring.seal(b"text", b"p")
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            ring.open(sealed[:length], b"p")


class TestScopes:
    def test_restricted_keys_open_data_and_no_account(self) -> None:
        whole = KeyRing([NEW, OLD])
        part = KeyRing(whole.restricted)
        assert part.open(whole.seal(b"clear", b"profile:demo"), b"profile:demo") == b"clear"
        assert whole.open(part.seal(b"clear", b"profile:demo"), b"profile:demo") == b"clear"
        assert not part.opens(Scope.ACCOUNT)
        for purpose in (b"account:demo", b"token:demo"):
            with pytest.raises(SealBroken):
                part.open(whole.seal(b"secret", purpose), purpose)
            with pytest.raises(SealBroken):
                part.seal(b"secret", purpose)

    def test_restricted_keys_say_nothing_of_the_whole_ones(self) -> None:
        assert KeyRing(KeyRing([OLD]).restricted).restricted == KeyRing([OLD]).restricted
        with pytest.raises(UsageError):
            KeyRing([KeyRing([OLD]).restricted[0].replace("data:", "account:")])
