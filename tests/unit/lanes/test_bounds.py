"""What may wait in a lane, and what is told of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lanes.bounds import MOST_BYTES, MOST_DEPTH, ready
from app.mapping.update import Reason


def nested(levels: int, *, as_list: bool = False) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if as_list else {"a": value}
    return value


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ({"a": float("nan")}, Reason.MALFORMED_PROFILE),
        ({"a": [1, {"b": float("-inf")}]}, Reason.MALFORMED_PROFILE),
        ({"a": 2**64}, Reason.MALFORMED_PROFILE),
        ({"a": "\ud800"}, Reason.MALFORMED_PROFILE),
        ({"\udfff": 1}, Reason.MALFORMED_PROFILE),
        ({1: 2}, Reason.MALFORMED_PROFILE),
        ({"a": object()}, Reason.MALFORMED_PROFILE),
        ({"a": b"bytes"}, Reason.MALFORMED_PROFILE),
        ({"a": "x" * MOST_BYTES}, Reason.TOO_LARGE),
        (nested(MOST_DEPTH + 1), Reason.TOO_DEEP),
        (nested(MOST_DEPTH + 1, as_list=True), Reason.TOO_DEEP),
        (nested(254), Reason.TOO_DEEP),
        (nested(900), Reason.TOO_DEEP),
    ],
)
def test_what_cannot_wait(profile: Any, reason: Reason) -> None:
    readied = ready(profile)
    assert readied.json == reason
    assert readied.profile is None, "nothing of it is kept"
    assert readied.size == 0


@pytest.mark.parametrize(
    "profile",
    [
        {}, {"a": None}, {"a": [{}] * 100}, [], "text", None, nested(MOST_DEPTH),
        {"a": nested(MOST_DEPTH - 1), "b": [{}]}, {"a": "x" * (MOST_BYTES - len('{"a":""}'))},
    ],
)  # fmt: skip
def test_what_can(profile: Any) -> None:
    readied = ready(profile)
    assert isinstance(readied.json, bytes)
    assert readied.size == len(readied.json)


class Key(str, Enum):  # noqa: UP042  # whose str() is not its value
    ANN = "c-1"


class Number(int, Enum):
    ONE = 1


class Loud(dict[str, Any]):
    def get(self, *_: Any) -> Any:
        return "loud"


@dataclass
class Identity:
    id: str


@pytest.mark.parametrize(
    "value",
    [
        UUID(int=1),
        Key.ANN,
        Number.ONE,
        Identity("c-1"),
        ({"id": "c-1"},),
        Loud(id="c-1"),
        [{"id": UUID(int=1)}],
        {"a": [{"id": Key.ANN}]},
        datetime(2026, 11, 22, tzinfo=UTC),
    ],
)
def test_what_a_profile_is_sorted_by_is_as_its_json_has_it(value: Any) -> None:
    readied = ready({"a": 1, "key": value}, ("id", "key"))
    assert isinstance(readied.json, bytes)
    read_back = orjson.loads(readied.json)
    assert repr(readied.profile) == repr(read_back)
    assert type(ready(Loud(key=value), ("key",)).profile) is dict


def test_a_profile_of_plain_json_is_not_read_back() -> None:
    profile = {"a": UUID(int=1), "key": {"b": [{"id": "c-1"}, 1, 1.5, True, None, {}, []]}}
    assert ready(profile, ("key", "xdm:key")).profile is profile


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(json_values)
def test_it_never_raises(profile: Any) -> None:
    ready(profile)
