from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.destinations.model import Destination
from app.mapping.catalog import Catalog
from app.mapping.problems import find_problems
from tests.unit.mapping.conftest import row

Make = Callable[..., Destination]
FITTING = {"id": "s", "name": "S", "mapping_id": "salesforce_mc_segment_1"}


def test_a_fitting_destination_has_no_problems(make: Make, catalog: Catalog) -> None:
    assert find_problems(make(row("xdm: a", "Market"), segments=[FITTING]), catalog) == []


@pytest.mark.parametrize(
    ("target", "text", "remedy"),
    [
        ("Email Demographics.first name", "has no attribute", "Did you mean 'First Name'?"),
        ("Email Demographics.FirstName", "has no attribute", "Did you mean 'First Name'?"),
        ("Email Demographics.Transaction Points1", "has no attribute", "its key; use its name, 'Transaction Points'"),
        ("Email Demographics.Frist Name", "has no attribute", "Did you mean 'First Name'?"),
        ("Email Demographics.Internal Note", "is hidden", "activation fields"),
        ("Email Demographics.Created By", "is read-only", "activation fields"),
        ("Email Demographics.Contacts ID", "is a key of its set", "activation fields"),
        ("Email Addresses.List ID", "cannot be written", "HTML Enabled can"),
        ("Email Demographic.Market", "cannot be written", "Did you mean 'Email Demographics'?"),
        ("MobileConnect Demographics.Locale", "cannot be written", "Email Demographics"),
    ],
)
def test_targets(make: Make, catalog: Catalog, target: str, text: str, remedy: str) -> None:
    [problem] = find_problems(make({"source": "xdm: a", "target": f"Attribute: {target}"}), catalog)
    assert (problem.level, problem.where) == ("error", "mapping[2].target")
    assert text in problem.text
    assert remedy in problem.remedy


@pytest.mark.parametrize(
    ("mapping_id", "text", "remedy"),
    [
        ("salesforce_mc_segmnt_1", "names no field", "Did you mean 'salesforce_mc_segment_1'?"),
        ("salesforce_mc_segment_9", "names no field", "Create it in Contact Builder: type Text, length 254 to 4000"),
        ("elsewhere", "names no field", "Create it in Contact Builder: type Text, length 254 to 4000"),
        ("short_segment", "is Text of length 50", "type Text, length 254 to 4000"),
        ("LoyaltyPoints", "names no field", "Did you mean 'Loyalty Points'?"),
        ("1st", "does not start with a letter", "exact FIELD NAME"),
    ],
)
def test_mapping_ids(make: Make, catalog: Catalog, mapping_id: str, text: str, remedy: str) -> None:
    problems = find_problems(make(segments=[{**FITTING, "mapping_id": mapping_id}]), catalog)
    found = [problem for problem in problems if text in problem.text]
    assert len(found) == 1
    assert (found[0].level, found[0].where) == ("error", "segments[0].mapping_id")
    assert remedy in found[0].remedy


def test_a_field_that_does_not_take_a_status(make: Make, catalog: Catalog) -> None:
    name = f"Email Demographics.{FITTING['mapping_id']}"
    field = replace(catalog.attributes[name], restricted_values=("realized", "existing", "gone"))
    restricted = replace(catalog, attributes={**catalog.attributes, name: field})
    [problem] = find_problems(make(segments=[FITTING]), restricted)
    assert (problem.level, problem.where) == ("warning", "segments[0].mapping_id"), "the rest can be delivered"
    assert "does not take the status 'exited'" in problem.text
    statuses = {"realized": "realized", "existing": "realized", "exited": "gone"}
    assert find_problems(make(segments=[FITTING], status_values=statuses), restricted) == []


def test_a_field_of_another_type(make: Make, catalog: Catalog) -> None:
    problems = find_problems(make(segments=[{**FITTING, "mapping_id": "Tier"}]), catalog)
    assert "'Tier' is Text of length 20" in problems[0].text


def test_rows_that_are_missing(make: Make) -> None:
    empty = replace(make(), mapping=())
    texts = [problem.text for problem in find_problems(empty, None)]
    assert texts == ["No row gives the contact key.", "No row gives the email address."]


def test_one_target_twice_and_a_segment_on_a_mapped_field(make: Make, catalog: Catalog) -> None:
    single = make(row("xdm: a", "salesforce_mc_segment_2"), row("xdm: b", "Market"), segments=[FITTING])
    segments = (replace(single.segments[0], mapping_id="salesforce_mc_segment_2"),)
    destination = replace(single, mapping=(*single.mapping, single.mapping[-1]), segments=segments)
    assert {problem.where for problem in find_problems(destination, catalog)} == {
        "mapping[3].target", "mapping[4].target", "segments[0].mapping_id",
    }  # fmt: skip


def test_many_segments_are_a_warning(make: Make) -> None:
    many: list[dict[str, Any]] = [{**FITTING, "id": f"s{number}", "name": f"S{number}"} for number in range(251)]
    [problem] = find_problems(make(segments=many), None)
    assert (problem.level, problem.where) == ("warning", "segments")
