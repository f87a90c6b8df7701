"""A body that is no JSON as a whole: each profile is read by itself, and a broken one costs its neighbours nothing."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RequestRefused
from app.intake.bodies import MOST_PROFILES, read_profiles, weigh
from app.intake.pieces import DEPTH

PROFILE = {
    "identityMap": {"contactKey": [{"id": "c-1"}]},
    "person": {"name": {"firstName": 'a "quoted", [bracketed} \\ name'}},
}
OBJECT = orjson.dumps(PROFILE)


def nested(depth: int, inner: bytes = b"1") -> bytes:
    return b'{"a":' + b"[" * depth + inner + b"]" * depth + b"}"


BROKEN = {
    "half an emoji": rb'{"n":"\ud83d"}',
    "no UTF-8": b'{"n":"R\xf6sli"}',
    "not a number": b'{"n":NaN}',
    "too large a number": b'{"n":1e999}',
    "no colon": b'{"n" 1}',
    "a comma too many": b'{"n":[1,,2],}',
    "a bracket too many": b'{"n":1}}',
    "the other bracket": b'{"n":[1}}',
    "a word": b"nothing",
    "nested": nested(1_500),
    "broken deep within": nested(DEPTH + 5, b'{"x":[NaN],"y":[{}]},{}'),
    "a line break in text": b'{"n":"a\n{}\nb"}',
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize(
    "form", [b"[%s]", b" [\n%s\n]\n", b'{"profiles":[%s]}', b'{"of": {"x": 1}, "profiles" : [%s], "more": [2]}']
)
def test_a_broken_element_is_excluded_alone(form: bytes, broken: bytes) -> None:
    body = form % b" ,\n".join([OBJECT, broken, OBJECT, broken, broken, OBJECT])
    assert read_profiles(body) == [PROFILE, None, PROFILE, None, None, PROFILE]


@pytest.mark.parametrize(
    "broken", [text for text in BROKEN.values() if b"\n" not in text] + [b"{broken", b"]", b'{"n":"', b"a,b;c"]
)
def test_a_broken_line_is_excluded_alone(broken: bytes) -> None:
    assert read_profiles(b"\n".join([broken, OBJECT, broken, OBJECT])) == [None, PROFILE, None, PROFILE]
    assert read_profiles(b"\r\n\r\n".join([broken, OBJECT])) == [None, PROFILE]


@pytest.mark.parametrize(
    "body",
    [
        b"[%s,%s" % (OBJECT, OBJECT),
        b"[%s,%s," % (OBJECT, BROKEN["half an emoji"]),
        b"[%s,%s" % (OBJECT, OBJECT[:-3]),
        b'[%s,{"a":"b' % OBJECT,
        b"[\n%s,\n%s\n" % (OBJECT, OBJECT),
        b"[\n%s,\n%s,\n%s" % (BROKEN["not a number"], OBJECT, OBJECT),
        b'{"profiles":[%s,%s]' % (OBJECT, OBJECT),
        b'{"profiles":\n[\n%s,\n%s\n' % (OBJECT, OBJECT),
        b'{"profiles":[%s,NaN],"more":' % OBJECT,
        b"[" * 100_000 + b"1,NaN",
    ],
)
def test_nothing_is_taken_of_what_is_cut_short(body: bytes) -> None:
    with pytest.raises(RequestRefused) as caught:
        read_profiles(body)
    assert (caught.value.status, caught.value.code) == (400, "no_profiles")


@pytest.mark.parametrize(
    "body",
    [
        BROKEN["half an emoji"],  # one profile, without a neighbour
        b'{"identityMap":{},"profiles":[{},NaN]}',  # a profile with such an attribute
        b'{"profiles":[{},NaN],"more":NaN}',
        b'{"profiles":[{}],"more":[NaN]}',
        b'{"more":{"profiles":[{},NaN]}}',
        b"[{}] and more",
        b"[{}],[{}]",
        b"nothing\nat all",
        b'{"a":\n{}}}',
    ],
)
def test_what_is_no_profiles_is_told_so(body: bytes) -> None:
    with pytest.raises(RequestRefused) as caught:
        read_profiles(body)
    assert (caught.value.status, caught.value.code) == (400, "no_profiles")


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(st.sampled_from('ab"\\{}[],: \nü'), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", '"', "]", "profiles"]), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(
    found=st.lists(values | st.just(...), min_size=1, max_size=8),
    depth=st.integers(0, 2 * DEPTH),
    form=st.sampled_from([b"[%s]", b'{"profiles":[%s]}']),
    comma=st.sampled_from([b",", b" ,\n"]),
)
def test_whatever_the_neighbours_hold(found: list[Any], depth: int, form: bytes, comma: bytes) -> None:
    """`...` stands for a broken one."""
    texts = [rb'{"n":"\ud83d"}' if one is ... else nested(depth, orjson.dumps(one)) for one in found]
    expected = [None if one is ... else orjson.loads(text) for one, text in zip(found, texts, strict=True)]
    assert read_profiles(form % comma.join([*texts, b"NaN"])) == [*expected, None]


@pytest.mark.parametrize("number", [MOST_PROFILES, MOST_PROFILES + 1])
@pytest.mark.parametrize(("form", "between"), [(b"[%s]", b","), (b'{"profiles":[%s]}', b","), (b"%s", b"\n")])
def test_broken_ones_count_as_well(form: bytes, between: bytes, number: int) -> None:
    body = form % between.join([b"NaN", *[b"{}"] * (number - 1)])
    if number <= MOST_PROFILES:
        assert read_profiles(body) == [None, *[{}] * (number - 1)]
        return
    with pytest.raises(RequestRefused) as caught:
        read_profiles(body)
    assert caught.value.status == 413


HOSTILE = {
    "many broken": b"[" + b",".join([rb'{"n":"\ud83d%s"}' % (b"x" * 750)] * 9_999) + b"]",
    "deep": b"[" * 990_000 + b"]" * 990_000,
    "ladders": b"[x," + (b"[" * (DEPTH - 1) + b'"%s"' % (b"x" * 1_000)) * 7_900,
    "never closed": b"[x," + b"[" * DEPTH + b"{}," * 330_000,
    "closings": b"[x{" + b"}" * 7_999_990,
    "commas": b"[x" + b"," * 990_000 + b"]",
    "quotes": b"[x" + b'""' * 3_999_990 + b"]",
    "lines": b"{}}\n" * 490_000,
    "carriage returns": b"x" + b"\r" * 7_999_990 + b"x",
}


def seconds(body: bytes) -> float:
    best = 60.0
    for _ in range(2):
        begin = time.process_time()
        try:
            weigh(body)
            read_profiles(body)
        except RequestRefused:
            pass
        best = min(best, time.process_time() - begin)
    return best


@pytest.fixture(scope="module")
def good_seconds() -> float:
    profile = {f"k{number}": {"status": "realized", "since": [number]} for number in range(18)}
    body = orjson.dumps([profile] * 9_999)
    assert 6_500_000 < len(body) < 8_000_000
    return seconds(body)


@pytest.mark.alone
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_worst_body_takes_a_few_times_what_a_good_one_does(body: bytes, good_seconds: float) -> None:
    assert seconds(body) < 6 * good_seconds


@pytest.mark.parametrize("between", [b"", b" "])
def test_profiles_without_a_comma_between_them_are_not_taken_for_one(between: bytes) -> None:
    for body in (b"[%s]" % between.join([OBJECT] * 3), b"[%s,%s%s%s]" % (OBJECT, OBJECT, between, OBJECT)):
        with pytest.raises(RequestRefused):
            read_profiles(body)


def test_lines_within_brackets_are_lines() -> None:
    assert read_profiles(b"[\n%s\n%s\n]" % (OBJECT, OBJECT)) == [None, PROFILE, PROFILE, None]


def test_lines_end_as_they_end_on_any_system() -> None:
    for end in (b"\n", b"\r\n", b"\r", b"\r\n\n \r"):
        assert read_profiles(end.join([OBJECT, OBJECT, b"broken", OBJECT])) == [PROFILE, PROFILE, None, PROFILE]
