from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import validate

from app.errors import RequestRefused
from app.intake.openapi import DOCUMENT
from app.intake.parameters import NONE, Parameters, read_parameters
from app.intake.problems import problem, unavailable


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", NONE),
        (b"parameter1=value&parameter2=%20", NONE),
        (b"backfill=true", Parameters(backfill=True)),
        (b"backfill=1&x=y", Parameters(backfill=True)),
        (b"backfill=false", NONE),
        (b"job=crm-2026.11:a_b%2Bc", Parameters(job="crm-2026.11:a_b+c")),
        (b"occurred_at=2026-11-22T10:00:00Z", Parameters(occurred_at_ms=1_795_341_600_000)),
        (b"occurred_at=2026-11-22T11:00:00+01:00", Parameters(occurred_at_ms=1_795_341_600_000)),
        (b"occurred_at=2026-11-22T11:00:00%2B0100", Parameters(occurred_at_ms=1_795_341_600_000)),
        (b"occurred_at=1795341600000", Parameters(occurred_at_ms=1_795_341_600_000)),
    ],
)
def test_a_query_is_read_and_what_is_unknown_ignored(query, expected):
    assert read_parameters(query) == expected


@pytest.mark.parametrize(
    ("query", "name"),
    [
        (b"backfill=perhaps", "backfill"),
        (b"occurred_at=yesterday", "occurred_at"),
        (b"occurred_at=", "occurred_at"),
        (b"occurred_at=2026-11-22", "occurred_at"),
        (b"occurred_at=99999999999999999", "occurred_at"),
        (b"job=", "job"),
        (b"job=a%0Ab", "job"),
        (b"job=" + b"a" * 129, "job"),
    ],
)
def test_what_is_wrong_is_named_and_never_quoted(query, name):
    with pytest.raises(RequestRefused) as caught:
        read_parameters(query)
    assert caught.value.status == 400
    assert name in str(caught.value)
    value = query.partition(b"=")[2].decode()
    assert not value or value not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_query_is_read_or_refused(query):
    refused = None
    try:
        read_parameters(query)
    except RequestRefused as found:
        refused = found
    assert refused is None or refused.status == 400


def test_the_description_is_valid():
    validate(DOCUMENT)


def test_every_problem_says_what_the_description_promises():
    schema = DOCUMENT["components"]["schemas"]["Problem"]
    refused = unavailable("Redis does not answer.", "storage")
    status, body, headers = problem(refused)
    document = orjson.loads(body)
    assert status == document["status"] == 503
    assert set(schema["required"]) == set(document)
    assert dict(headers) == {b"content-type": b"application/problem+json", b"retry-after": b"15"}
