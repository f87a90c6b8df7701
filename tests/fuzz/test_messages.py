"""Whatever a message is, it is received or has a fault, and whatever its arguments are, they are read or refused; neither is quoted."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SealBroken, UsageError
from app.resources import Resources
from app.sealing import make_key
from app.settings import Settings
from tasks.arguments import EnqueueArguments, read_arguments
from tasks.messages import fault_in_envelope, fault_in_message
from tests.fuzz.cases import MARK, altered, as_json, awkward, cases, depths, marked, values

TASKS = {"activation.enqueue", "activation.deliver"}
KWARGS: dict[str, Any] = {
    "destination": "camp", "profiles": [{}], "job_id": "job", "occurred_at": "2026-01-01T10:00:00Z", "backfill": False, "force": False,
}  # fmt: skip
HEADERS: dict[str, Any] = {
    "task": "activation.enqueue", "id": "abc", "retries": 0, "timelimit": [None, None], "eta": None, "expires": None, "lang": "py",
    "root_id": "abc", "parent_id": None, "argsrepr": "", "kwargsrepr": "", "shadow": None, "group": None, "origin": "x",
}  # fmt: skip
BODY: list[Any] = [[], KWARGS, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
ENVELOPE: dict[str, Any] = {
    "body": base64.b64encode(json.dumps(BODY).encode()).decode(), "content-type": "application/json", "content-encoding": "utf-8",
    "headers": HEADERS,
    "properties": {
        "delivery_tag": "t", "delivery_info": {"exchange": "", "routing_key": "activation"}, "body_encoding": "base64", "priority": 0,
    },
}  # fmt: skip


def unquoted(fault: str) -> None:
    assert MARK.lower() not in fault.lower()
    assert fault.isprintable()


@cases(60, 2_000)
@given(altered(ENVELOPE).map(as_json) | depths.map(as_json) | st.binary(max_size=200))
def test_every_item_of_a_queue_is_good_or_has_a_fault(item: bytes) -> None:
    unquoted(fault_in_envelope(item))


@cases(60, 2_000)
@given(
    altered(HEADERS) | st.just(HEADERS),
    altered(BODY) | depths | st.binary(max_size=60),
    st.just("application/json") | marked | awkward,
    st.just("utf-8") | marked | awkward,
)
def test_every_message_is_good_or_has_a_fault(headers: Any, body: Any, content_type: Any, encoding: Any) -> None:
    text = body if isinstance(body, bytes) else as_json(body)
    unquoted(fault_in_message(headers, text, content_type, encoding, tasks=TASKS))


@pytest.fixture(scope="module")
def resources() -> Iterator[Resources]:
    made = Resources.from_settings(
        replace(Settings.from_env(), redis_url="redis://127.0.0.1:1", secret_keys=make_key())  # it is not asked
    )
    yield made
    made.redis.close()


def test_all_arguments_are_read_or_refused(resources: Resources) -> None:
    @cases(80, 2_500)
    @given(
        st.lists(values, max_size=2) | st.lists(values, max_size=8) | st.just([]),
        altered(KWARGS) | st.dictionaries(marked | awkward, values, max_size=3) | st.builds(
            lambda text: KWARGS | {"profiles": f"sealed:1:{text}"}, marked | awkward | st.just("crm:AAAA"))
    )  # fmt: skip
    def read(args: list[Any], kwargs: Any) -> None:
        if not isinstance(kwargs, dict):
            return  # no message of that kind is received
        try:
            found = read_arguments(args, kwargs, resources)
        except (UsageError, SealBroken) as error:
            unquoted(f"{error}{error.remedy}")
        else:
            assert isinstance(found, EnqueueArguments)
            assert found.occurred_at is None or 0 <= found.occurred_at < 253_402_300_800_000

    read()
