from __future__ import annotations

import gzip
import zlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RequestRefused
from app.intake.bodies import MOST_BYTES, MOST_INFLATED, MOST_PROFILES, MOST_VALUES, inflate, read_profiles, weigh

PROFILE = {"identityMap": {"contactKey": [{"id": "c-1"}]}}
OBJECT = orjson.dumps(PROFILE)


def raw_deflate(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (OBJECT, [PROFILE]),
        (b"\xef\xbb\xbf" + OBJECT, [PROFILE]),
        (orjson.dumps(PROFILE, option=orjson.OPT_INDENT_2), [PROFILE]),
        (orjson.dumps([PROFILE, PROFILE]), [PROFILE, PROFILE]),
        (b"[]", []),
        (orjson.dumps({"profiles": [PROFILE, None]}), [PROFILE, None]),
        (orjson.dumps({**PROFILE, "profiles": ["an attribute"]}), [{**PROFILE, "profiles": ["an attribute"]}]),
        (orjson.dumps({"profiles": "no list"}), [{"profiles": "no list"}]),
        (OBJECT + b"\n" + OBJECT, [PROFILE, PROFILE]),
        (OBJECT + b"\r\n\r\n" + OBJECT + b"\r\n", [PROFILE, PROFILE]),
        (OBJECT + b"\n{broken\n" + OBJECT, [PROFILE, None, PROFILE]),
        (OBJECT + b"\n[1]", [PROFILE, [1]]),
        (b'[{"a":1},3]', [{"a": 1}, 3]),
    ],
)
def test_every_form_is_read(body, expected):
    assert read_profiles(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n ",
        b"1",
        b'"text"',
        b"null",
        b"{",
        b"[{}",
        b"no json",
        b"\xff\xfe{}",
        b"[\n{}\n",
        b"a=1&b=2",
        b'{"a":\n{}}}',
        b"NaN",
    ],
)
def test_what_is_no_profiles_is_told_so(body):
    with pytest.raises(RequestRefused) as caught:
        read_profiles(body)
    assert (caught.value.status, caught.value.code) == (400, "no_profiles")


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"1," * MOST_PROFILES + b"1]",
        b"{}\n" * (MOST_PROFILES + 1),
        b"[" + b"{}," * MOST_VALUES + b"{}]",
        b'{"a":[' + b"0," * (MOST_VALUES + 1) + b"0]}",
    ],
    ids=["array", "lines", "empty objects", "numbers"],
)
def test_too_much_is_refused(body):
    def read():
        weigh(body)
        read_profiles(body)

    with pytest.raises(RequestRefused) as caught:
        read()
    assert caught.value.status == 413


def test_depth_ends_in_an_answer():
    with pytest.raises(RequestRefused) as caught:
        read_profiles(b"[" * 100_000)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("", bytes),
        ("identity", bytes),
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        (" GZIP ", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
        ("gzip", lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:])),
    ],
)
@pytest.mark.parametrize("data", [OBJECT, b"", b"x" * 100_000])
def test_every_encoding_is_inflated(encoding, pack, data):
    assert inflate(pack(data), encoding) == data


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br", "gzip,gzip,gzip", "compress"])
def test_an_unknown_encoding_is_415(encoding):
    with pytest.raises(RequestRefused) as caught:
        inflate(OBJECT, encoding)
    assert caught.value.status == 415


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_is_broken_or_cut_is_400(encoding):
    whole = gzip.compress(OBJECT) if encoding == "gzip" else zlib.compress(OBJECT)
    for body in (whole[:-3], b"no such thing", whole[: len(whole) // 2]):
        with pytest.raises(RequestRefused) as caught:
            inflate(body, encoding)
        assert caught.value.status == 400


def test_a_bomb_does_not_go_off():
    bomb = gzip.compress(bytes(MOST_INFLATED + 1))
    assert len(bomb) < MOST_BYTES
    for body, encoding in ((bomb, "gzip"), (bomb + bomb, "gzip"), (gzip.compress(bomb), "gzip, gzip")):
        with pytest.raises(RequestRefused) as caught:
            inflate(body, encoding)
        assert caught.value.status == 413


@given(st.binary(max_size=300), st.sampled_from(["", "gzip", "deflate", "deflate,gzip", "identity"]))
def test_any_bytes_end_in_profiles_or_in_a_refusal(body, encoding):
    refused = None
    try:
        assert isinstance(read_profiles(inflate(body, encoding)), list)
    except RequestRefused as found:
        refused = found
    assert refused is None or refused.status in (400, 413, 415)


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers(-5, 5), max_size=3), max_size=20))
def test_an_array_and_the_same_in_lines_are_the_same_profiles(profiles):
    assert read_profiles(orjson.dumps(profiles)) == profiles
    if len(profiles) > 1:
        assert read_profiles(b"\n".join(orjson.dumps(one) for one in profiles)) == profiles
