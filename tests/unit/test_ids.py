"""What an id may be is said once, and the same to whoever asks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from marshmallow import ValidationError, validate

from app import ids
from app.errors import UsageError
from app.ids import DESTINATION_ID, JOB_ID, KEY_NAME, MESSAGE_ID, SENDER_NAME, SOURCE_NAME, USER_NAME, IdRule
from app.intake.openapi import DOCUMENT

ROOT = Path(__file__).resolve().parents[2]
RULES = [rule for rule in vars(ids).values() if isinstance(rule, IdRule)]
SLUGS = [DESTINATION_ID, SOURCE_NAME, SENDER_NAME, KEY_NAME]
NEVER: list[Any] = ["", " a", "a ", "a\n", "a/b", "a b", "ä", "a\0", "\ud800", None, 7, b"a", ["a"], {"a": 1}]


def called(rule: IdRule) -> str:
    return rule.called


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        *((rule, value) for rule in SLUGS for value in ("a", "7", "a-b-", "a" * 63)),
        *((JOB_ID, value) for value in ("a", "-", ":", "crm-2026.11:a_b+c", "A" * 128)),
        *((MESSAGE_ID, value) for value in ("a", "crm-2026.11:a_b+c", "A" * 255)),
        *((USER_NAME, value) for value in ("a", "Ann", "7", "ann@mail.test", "a.b_c+d-", "a" * 100)),
    ],
)
def test_what_may_be(rule: IdRule, value: str) -> None:
    assert rule.allows(value)
    rule.check(value)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        *((rule, value) for rule in RULES for value in NEVER),
        *((rule, value) for rule in SLUGS for value in ("A", "-a", "a_b", "a.b", "a" * 64)),
        (JOB_ID, "A" * 129),
        (JOB_ID, "a@b"),
        (MESSAGE_ID, "A" * 256),
        *((USER_NAME, value) for value in ("-a", ".a", "@a", "a:b", "a" * 101)),
    ],
)
def test_what_may_not_be_is_told_and_not_quoted(rule: IdRule, value: Any) -> None:
    assert not rule.allows(value)
    with pytest.raises(UsageError) as caught:
        rule.check(value)
    assert str(caught.value) == f"{rule.called}: must be {rule.allowed}."


@pytest.mark.parametrize("rule", RULES, ids=called)
def test_the_example_is_one(rule: IdRule) -> None:
    assert all(rule.allows(word) for word in rule.example.split(" or "))


@pytest.mark.parametrize("rule", RULES, ids=called)
def test_a_schema_takes_all_of_a_text_or_nothing(rule: IdRule) -> None:
    check = validate.Regexp(rule.whole, error=rule.must)
    check(rule.example.split(" or ")[0])
    for value in ("a\n", "a b", ""):
        with pytest.raises(ValidationError, match=re.escape(rule.allowed)):
            check(value)


def test_the_description_of_the_intake_says_the_same() -> None:
    parameters = DOCUMENT["paths"]["/v1/destinations/{destination}/profiles"]["post"]["parameters"]
    patterns = {one["name"]: one["schema"]["pattern"] for one in parameters if "pattern" in one["schema"]}
    assert patterns == {"destination": f"^{DESTINATION_ID.pattern}$", "job": f"^{JOB_ID.pattern}$"}


def test_no_other_module_says_it_anew() -> None:
    lengths = {re.findall(r"\{\d,\d+\}", rule.pattern)[-1] for rule in RULES}
    modules = [path for package in ("app", "tasks") for path in (ROOT / package).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in modules if any(f"]{each}" in path.read_text() for each in lengths)}
    assert found == {"app/ids.py"}
