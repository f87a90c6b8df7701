"""What is no message is found out before Celery looks at it, and is told without being quoted."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.compression import compress, decompress

from tasks.messages import MOST_BYTES, fault_in_envelope, fault_in_message

TASKS = {"activation.enqueue", "activation.deliver"}
KWARGS = {"destination": "camp", "profiles": [{}]}
HEADERS = {"task": "activation.enqueue", "id": "abc", "retries": 0, "timelimit": [None, None], "eta": None}
MARK = "Marker-Ann"


def message(
    headers: Any = HEADERS, body: Any = ([], KWARGS, {}), kind: Any = "application/json", encoding: Any = "utf-8"
) -> str:
    text = body if isinstance(body, bytes | str) else json.dumps(body)
    return fault_in_message(headers, text, kind, encoding, tasks=TASKS)


@pytest.mark.parametrize(
    "good",
    [
        {},
        {"body": [[], KWARGS, None]},
        {"headers": {**HEADERS, "eta": "2026-11-22T10:00:00+00:00", "expires": "2026-11-22T10:00:00Z"}},
        {"headers": {**HEADERS, "timelimit": (10, 20)}},
        {"encoding": "UTF-8"},
        {"headers": {}, "body": {"task": "activation.enqueue", "id": "1", "args": [], "kwargs": KWARGS}},
        {"headers": {**HEADERS, "id": "shop+1_a.b:c-d"}},
        {"headers": {**HEADERS, "id": "x" * 255}},
    ],
)
def test_what_celery_clients_send_is_received(good: dict[str, Any]) -> None:
    assert message(**good) == ""


@pytest.mark.parametrize(
    "bad",
    [
        {"body": [[MARK], {"profiles": []}]},
        {"body": ""},
        {"body": "null"},
        {"body": {}},
        {"body": [[], {}, {}, MARK]},
        {"body": [MARK, {}, {}]},
        {"body": [[], MARK, {}]},
        {"body": [[], {}, MARK]},
        {"body": b"\xff\xfe"},
        {"body": "[" * 100_000},
        {"kind": None},
        {"kind": "application/x-python-serialize"},
        {"encoding": None},
        {"encoding": MARK},
        {"headers": None},
        {"headers": [MARK]},
        {"headers": {**HEADERS, "task": MARK}},
        {"headers": {**HEADERS, "task": [MARK]}},
        {"headers": {**HEADERS, "id": [MARK]}},
        {"headers": {**HEADERS, "id": ""}},
        {"headers": {**HEADERS, "id": MARK * 100}},
        {"headers": {**HEADERS, "id": f"{MARK}@mail.test"}},
        {"headers": {**HEADERS, "id": f"1\n{MARK}"}},
        {"headers": {**HEADERS, "id": f"{MARK}/1"}},
        {"headers": {**HEADERS, "timelimit": [1]}},
        {"headers": {**HEADERS, "timelimit": MARK}},
        {"headers": {**HEADERS, "timelimit": [MARK, 1]}},
        {"headers": {**HEADERS, "eta": MARK}},
        {"headers": {**HEADERS, "eta": 7}},
        {"headers": {**HEADERS, "expires": "9999-12-31T23:59:59"}},
        {"headers": {**HEADERS, "retries": MARK}},
        {"headers": {**HEADERS, "retries": -1}},
        {"headers": {**HEADERS, "shadow": 7}},
        {"headers": {}, "body": {"task": MARK, "id": "1", "args": [], "kwargs": {}}},
        {"headers": {}, "body": {"task": "activation.enqueue", "id": "1", "args": []}},
        {"headers": {}, "body": [MARK]},
    ],
)
def test_what_would_end_a_worker_is_told_and_not_quoted(bad: dict[str, Any]) -> None:
    fault = message(**bad)
    assert fault
    assert MARK not in fault


ENVELOPE = {
    "body": base64.b64encode(b"[[], {}, {}]").decode(),
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": HEADERS,
    "properties": {
        "delivery_tag": "t",
        "delivery_info": {"exchange": "", "routing_key": "activation"},
        "body_encoding": "base64",
    },
}


def bomb() -> str:
    return base64.b64encode(zlib.compress(b"0" * (MOST_BYTES + 1_000))).decode()


@pytest.mark.parametrize(
    "change",
    [
        {"properties": None},
        {"properties": {}},
        {"properties": {**ENVELOPE["properties"], "delivery_tag": [MARK]}},  # type: ignore[dict-item]
        {"properties": {**ENVELOPE["properties"], "delivery_info": None}},  # type: ignore[dict-item]
        {"properties": {**ENVELOPE["properties"], "body_encoding": MARK}},  # type: ignore[dict-item]
        {"body": [MARK]},
        {"body": "é not base64"},
        {"body": None},
        {"headers": MARK},
        {"content-type": [MARK]},
        {"headers": {**HEADERS, "compression": MARK}},
        {"headers": {**HEADERS, "compression": "application/x-bz2"}},
        {"headers": {**HEADERS, "compression": "application/x-gzip"}},  # what is not packed
    ],
)
def test_what_kombu_could_not_read_is_told(change: dict[str, Any]) -> None:
    fault = fault_in_envelope(json.dumps(ENVELOPE | change).encode())
    assert fault
    assert MARK not in fault


def test_what_would_become_too_large_is_told() -> None:
    packed = {**ENVELOPE, "headers": {**HEADERS, "compression": "application/x-gzip"}, "body": bomb()}
    assert fault_in_envelope(json.dumps(packed).encode()) == "it is too large once decompressed"


def test_a_message_without_a_body_is_told_and_ends_no_worker() -> None:
    bare = {name: value for name, value in ENVELOPE.items() if name != "body"}
    assert fault_in_envelope(json.dumps(bare).encode()) == "its body is no text"
    assert fault_in_message(HEADERS, None, "application/json", "utf-8", tasks=TASKS) == "its body is no JSON"  # type: ignore[arg-type]


def test_an_envelope_as_kombu_writes_it_is_good() -> None:
    assert fault_in_envelope(json.dumps(ENVELOPE).encode()) == ""


@pytest.mark.parametrize("name", ["zlib", "gzip"])
def test_what_kombu_packs_is_good(name: str) -> None:
    body, compression = compress(b"[[], {}, {}]", name)
    packed = {**ENVELOPE, "headers": {**HEADERS, "compression": compression}, "body": base64.b64encode(body).decode()}
    assert fault_in_envelope(json.dumps(packed).encode()) == ""
    assert decompress(body, compression) == b"[[], {}, {}]"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_item_of_a_list_raises(item: bytes) -> None:
    assert isinstance(fault_in_envelope(item), str)


@given(
    headers=st.dictionaries(st.sampled_from(list(HEADERS)), json_values) | json_values,
    body=json_values | st.binary(max_size=50),
    kind=json_values,
)
def test_no_message_raises(headers: Any, body: Any, kind: Any) -> None:
    assert isinstance(message(headers, body, kind), str)
    assert isinstance(message(headers, body), str)
