"""JSON Lines, and JSON as it comes: every value is one record, wherever blocks end; a broken one harms no other."""

from __future__ import annotations

import io
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.files import json_texts
from app.files.json_lines import JsonLines
from app.files.json_texts import JsonTexts
from app.files.records import LONGEST_RECORD_BYTES, Record
from app.mapping.update import Reason

texts = st.text(st.sampled_from('ab"\\{}[],: \nü'), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=3)


def read(reader: JsonLines | JsonTexts) -> list[Record]:
    return [reader.record(number, item) for number, item in reader.items()]


def profiles(content: bytes) -> list[Any]:
    return [record.profile for record in read(JsonTexts(io.BytesIO(content)))]


@pytest.fixture(params=[1, 2, 3, 7, 64, 10_000])
def block_bytes(request, monkeypatch):
    monkeypatch.setattr(json_texts, "BLOCK_BYTES", request.param)


@given(found=st.lists(objects | st.none() | st.integers(-9, 9) | texts, max_size=4), block=st.integers(1, 9),
       indent=st.sampled_from([None, 0, 2]))  # fmt: skip
def test_an_array_is_its_elements(found, block, indent) -> None:
    content = json.dumps(found, indent=indent, ensure_ascii=False).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_texts, "BLOCK_BYTES", block)
        assert profiles(content) == found


@given(found=st.lists(objects, max_size=4), block=st.integers(1, 9), between=st.sampled_from(["", "\n", " \r\n\n"]))
def test_objects_one_after_another(found, block, between) -> None:
    content = between.join(json.dumps(one, indent=1, ensure_ascii=False) for one in found).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_texts, "BLOCK_BYTES", block)
        assert profiles(content) == found


def test_arrays_one_after_another(block_bytes) -> None:
    assert profiles(b'[{"a": 1}, {"a": 2}]\n[]\n[{"a": 3}]') == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_a_byte_order_mark_costs_no_profile() -> None:
    assert profiles(b'\xef\xbb\xbf[{"a": 1}]') == [{"a": 1}]
    assert [record.profile for record in read(JsonLines(io.BytesIO(b'\xef\xbb\xbf{"a": 1}\n{"a": 2}')))] == [
        {"a": 1}, {"a": 2},
    ]  # fmt: skip


def test_a_broken_element_is_excluded_alone(block_bytes) -> None:
    content = b'[{"a": 1}, {"a" 2}, {"a": "\xff"}, x, 5, {"a": 3}]'
    assert [(record.number, record.profile, record.reason) for record in read(JsonTexts(io.BytesIO(content)))] == [
        (1, {"a": 1}, None),
        (2, None, Reason.MALFORMED_PROFILE),
        (3, None, Reason.MALFORMED_PROFILE),
        (4, None, Reason.MALFORMED_PROFILE),  # `x, 5` is no JSON, so that nobody can count its values
        (5, {"a": 3}, None),
    ]


@pytest.mark.parametrize(
    "content", [b'[{"a": 1}, {"a": ', b'[{"a": 1}, {"a": "b', b'[{"a": 1}', b'[{"a": 1},', b'{"a": 1}{"a']
)
def test_what_is_cut_off_is_noticed(block_bytes, content) -> None:
    reader = JsonTexts(io.BytesIO(content))
    assert read(reader)[0].profile == {"a": 1}
    assert reader.cut_off


@pytest.mark.parametrize("content", [b'[{"a": 1}]', b'{"a": 1}', b'[{"a": 1}]\n\n', b'[{"a": 1}]{"b": 2}', b""])
def test_what_is_whole_is_not_called_cut_off(content) -> None:
    reader = JsonTexts(io.BytesIO(content))
    read(reader)
    assert not reader.cut_off


@pytest.mark.parametrize("inner", ["x", "{", '\\"'])
def test_an_element_that_is_too_long_is_passed_over(monkeypatch, inner) -> None:
    monkeypatch.setattr(json_texts, "BLOCK_BYTES", 50_000)
    long = '{"a": "' + inner * (LONGEST_RECORD_BYTES // len(inner) + 100_000) + '"}'
    found = read(JsonTexts(io.BytesIO(f'[{{"a": 1}}, {long}, {{"a": 2}}]'.encode())))
    assert [(record.profile, record.reason) for record in found] == [
        ({"a": 1}, None), (None, Reason.TOO_LARGE), ({"a": 2}, None),
    ]  # fmt: skip


def test_a_line_that_is_too_long_is_passed_over() -> None:
    long = b'{"a": "' + b"x" * (LONGEST_RECORD_BYTES + 10) + b'"}'
    found = read(JsonLines(io.BytesIO(b'{"a": 1}\n' + long + b"\n\n" + b'{"a": 2}')))
    assert [(record.number, record.profile, record.reason) for record in found] == [
        (1, {"a": 1}, None), (2, None, Reason.TOO_LARGE), (4, {"a": 2}, None),
    ]  # fmt: skip


def test_a_fault_is_told_without_its_text() -> None:
    content = b'{"name": "Rosalind"\n{"name": "R\xf6sli"}\n'
    assert [record.found for record in read(JsonLines(io.BytesIO(content)))] == [
        "no JSON at character 21 of it", "not UTF-8 at byte 12",
    ]  # fmt: skip


@given(found=st.lists(objects, max_size=4))
def test_lines_are_profiles(found) -> None:
    content = b"\r\n\n".join(orjson.dumps(one) for one in found)
    assert [record.profile for record in read(JsonLines(io.BytesIO(content)))] == found


@pytest.mark.parametrize("end", ["", ', {"b": 2}]', "]"])
@pytest.mark.parametrize(
    ("between", "found"),
    [
        ("1, " * 99 + "1", [1] * 99 + [1]),
        ('"a,\\"b", ' * 30 + "null", ['a,"b'] * 30 + [None]),
        (" " * 500, []),
        (",\n" * 500, []),
        ('"' + "a, " * 200 + '", 5, "c"', [None, 5, "c"]),
        ('5, "' + "1" * 200 + '", "c"', [5, None, "c"]),
        ('5, "' + "1" * 200 + '"', [5, None]),
    ],
)
def test_values_between_objects_are_counted_however_many_there_are(
    monkeypatch, block_bytes, between, found, end
) -> None:
    monkeypatch.setattr(json_texts, "LONGEST_RECORD_BYTES", 90)
    content = f'[{{"a": 1}}, {between}{end}'.encode()
    behind = [{"b": 2}] if "b" in end else []
    assert profiles(content) == [{"a": 1}, *found, *behind]


@given(
    found=st.lists(st.just({"a": 1}) | st.integers(-9, 9) | texts | st.just('long, \\"{' * 20), max_size=9),
    block=st.integers(1, 99),
)
def test_an_array_of_anything_has_one_record_for_each_element(found, block) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_texts, "BLOCK_BYTES", block)
        patch.setattr(json_texts, "LONGEST_RECORD_BYTES", 90)
        content = json.dumps(found, ensure_ascii=False).encode()
        assert profiles(content) == [None if isinstance(one, str) and len(one) > 90 else one for one in found]
