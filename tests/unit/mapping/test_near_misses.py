"""Findings of a mapping that the file's own checks leave to the catalog: unwritable fields, many rows, names almost right."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.destinations.model import Account, Destination, MappingRow, Segment, Source, Target
from app.mapping.catalog import EMAIL_ADDRESS, HTML_ENABLED, Attribute, Catalog
from app.mapping.problems import MANY_ATTRIBUTES, MANY_SEGMENTS, Problem, find_problems, near_miss

DEMOGRAPHICS = "Email Demographics"
ACCOUNT = Account("mcdemo", "client", "secret", None, "https://auth.test", "https://rest.test")
ROWS = (
    MappingRow(Source("identity", "contactKey"), Target("contact_key")),
    MappingRow(Source("xdm", "email"), Target("attribute", "Email Addresses", "Email Address")),
)


def attribute(name: str, data_type: str = "Text", **more: Any) -> Attribute:
    key = more.pop("key", name.replace(" ", ""))
    return Attribute(DEMOGRAPHICS, "EmailDemographics", name, key, data_type, **more)


CATALOG = Catalog.of(
    [
        attribute("First Name", length=100),
        attribute("Account Id", length=18),
        attribute("AccountId", length=18),
        attribute("Renamed Field", key="OldName", length=254),
        attribute("too_short", length=253),
        attribute("shortest", length=254),
        attribute("longest", length=4000),
        attribute("too_long", length=4001),
        attribute("unbounded", length=-1),
        attribute("no_length"),
        attribute("a_number", "Number"),
        attribute("hidden", length=254, is_hidden=True),
        attribute("read_only", length=254, is_read_only=True),
        attribute("primary", length=254, is_primary_key=True),
        EMAIL_ADDRESS,
        HTML_ENABLED,
    ],
    fetched_at_ms=0,
)


def found(*rows: MappingRow, segments: tuple[Segment, ...] = (), catalog: Catalog | None = CATALOG) -> list[Problem]:
    return find_problems(Destination("demo", "Demo", ACCOUNT, (*ROWS, *rows), segments), catalog)


def row(name: str, set_name: str = DEMOGRAPHICS) -> MappingRow:
    return MappingRow(Source("xdm", "a"), Target("attribute", set_name, name))


@pytest.mark.parametrize("name", ["shortest", "longest", "unbounded", "no_length"])
def test_fields_that_fit_a_mapping_id(name: str) -> None:
    assert found(segments=(Segment("s1", name),)) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("too_short", "is Text of length 253"),
        ("too_long", "is Text of length 4001"),
        ("a_number", "is Number"),
        ("hidden", "is hidden"),
        ("read_only", "is read-only"),
        ("primary", "is a key of its set"),
    ],
)
def test_fields_that_do_not(name: str, text: str) -> None:
    [problem] = found(segments=(Segment("s0", "shortest"), Segment("s1", name)))
    assert (problem.level, problem.where) == ("error", "segments[1].mapping_id")
    assert text in problem.text


@pytest.mark.parametrize("name", ["two words", "tab\tbed", "line\nbreak", " shortest"])
def test_a_mapping_id_has_no_whitespace_even_without_a_catalog(name: str) -> None:
    [problem] = found(segments=(Segment("s1", name),), catalog=None)
    assert (problem.level, problem.where) == ("error", "segments[0].mapping_id")
    assert "whitespace" in problem.text
    assert "underscores" in problem.remedy


@pytest.mark.parametrize("name", ["1st", "_first", "-first", "ärzte", ""])
def test_a_mapping_id_starts_with_a_letter(name: str) -> None:
    [problem] = found(segments=(Segment("s1", name),), catalog=None)
    assert "does not start with a letter" in problem.text


def test_segments_may_share_a_mapping_id() -> None:
    assert found(segments=(Segment("s1", "shortest"), Segment("s2", "shortest"))) == []


@pytest.mark.parametrize("name", ["Account Id", "AccountId"])
def test_a_name_that_is_there_is_never_taken_for_its_twin(name: str) -> None:
    assert found(row(name)) == []


def test_what_salesforce_calls_read_only_or_not_its_addresses_are_written() -> None:
    marked = {
        name: Attribute(**{field: getattr(one, field) for field in one.__slots__} | {"is_read_only": True})
        for name, one in CATALOG.attributes.items()
    }
    catalog = Catalog(marked, 0, "0" * 12)
    assert found(row("HTML Enabled", "Email Addresses"), catalog=catalog) == []
    [problem] = found(row("First Name"), catalog=catalog)
    assert "is read-only" in problem.text


def test_every_row_with_the_same_target_is_named() -> None:
    problems = found(row("First Name"), row("AccountId"), row("First Name"))
    assert [problem.where for problem in problems] == ["mapping[2].target", "mapping[4].target"]
    assert {problem.level for problem in problems} == {"error"}


@pytest.mark.parametrize(("over", "count"), [(0, 0), (1, 1)])
def test_more_rows_and_segments_than_the_guardrails_are_warnings(over: int, count: int) -> None:
    rows = [row(f"Field {number}") for number in range(MANY_ATTRIBUTES - len(ROWS) + over)]
    segments = tuple(Segment(f"s{number}", "shortest") for number in range(MANY_SEGMENTS + over))
    problems = found(*rows, segments=segments, catalog=None)
    assert [(problem.level, problem.where) for problem in problems] == [
        ("warning", "segments"), ("warning", "mapping"),
    ][: 2 * count]  # fmt: skip


@given(
    st.lists(st.sampled_from(["First", "name", "STATUS", "of", "Ünit", "2"]), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_another_case_or_other_spaces_lead_to_the_name(words: list[str], dice: Any) -> None:
    name = " ".join(words)
    told = dice.choice(["", "_", " ", "  "]).join(dice.choice([word.upper(), word.lower()]) for word in words)
    others = [attribute("Elsewhere"), attribute("Firstborn")]
    assert near_miss(told, [*others, attribute(name)]) == f"Did you mean {name!r}? Case and spaces count."


def test_a_key_leads_to_the_name() -> None:
    assert near_miss("OldName", CATALOG.attributes.values()) == "'OldName' is its key; use its name, 'Renamed Field'."
    assert near_miss("oldname", CATALOG.attributes.values()) == ""  # keys are taken exactly


@pytest.mark.parametrize(("name", "hint"), [("Frist Name", "Did you mean 'First Name'?"), ("Quite Other", "")])
def test_likeness_is_the_last_resort(name: str, hint: str) -> None:
    assert near_miss(name, [attribute("First Name"), attribute("Points")]) == hint


def test_no_attributes_no_hint() -> None:
    assert near_miss("First Name", []) == ""
