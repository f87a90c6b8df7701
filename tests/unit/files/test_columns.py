"""From columns to profiles: where each goes, what is not mentioned, and what cannot be."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from app.errors import UsageError
from app.files.columns import MOST_HINTS, BadCell, Column, Columns, Type
from app.files.columns_file import MOST_BYTES, read_columns


def test_each_column_has_its_place() -> None:
    header = [
        "identityMap.contactKey", "personalEmail.address", "person.name.firstName", "person.name.lastName",
        "segmentMembership.ups.7841.b", "segmentMembership.ups.owners", "segmentMembership.aam.x.status",
        "segmentMembership.aam.x.lastQualificationTime", "occurredAt",
    ]  # fmt: skip
    cells = ["c-1", "ann@mail.test", "Ann", "Lee", "realized@2026-11-22T10:00:00Z", "exited", "existing", "2026-11-23T10:00:00Z",
             "2026-11-24T10:00:00Z"]  # fmt: skip
    assert Columns(header, None).profile(cells) == {
        "identityMap": {"contactKey": [{"id": "c-1"}]},
        "personalEmail": {"address": "ann@mail.test"},
        "person": {"name": {"firstName": "Ann", "lastName": "Lee"}},
        "segmentMembership": {
            "ups": {
                "7841.b": {"status": "realized", "lastQualificationTime": "2026-11-22T10:00:00Z"},
                "owners": {"status": "exited"},
            },
            "aam": {"x": {"status": "existing", "lastQualificationTime": "2026-11-23T10:00:00Z"}},
        },
        "occurredAt": "2026-11-24T10:00:00Z",
    }


def test_an_empty_cell_is_not_mentioned() -> None:
    assert Columns(["a.b", "a.c", "d"], None).profile(["", None, "x"]) == {"d": "x"}


def test_a_column_without_a_name_is_left_out() -> None:
    assert Columns(["a", " ", ""], None).profile(["1", "2", "3"]) == {"a": "1"}


def test_whole_objects_stay_as_they_are() -> None:
    identities = {"crm": [{"id": "k"}]}
    assert Columns(["identityMap"], None).profile([identities]) == {"identityMap": identities}


def test_types() -> None:
    given = {
        "n": Column("loyalty.points", Type.NUMBER), "b": Column("loyalty.vip", Type.BOOLEAN),
        "j": Column("identityMap", Type.JSON), "t": Column("zip"),
    }  # fmt: skip
    columns = Columns(["t", "n", "b", "left out", "j"], given)
    assert columns.profile(["012", " 1.50", "TRUE", "?", '{"crm": [{"id": "k"}]}']) == {
        "loyalty": {"points": 1.5, "vip": True}, "identityMap": {"crm": [{"id": "k"}]}, "zip": "012",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        (Type.NUMBER, "Rosalind", "column c is not a number"),
        (Type.NUMBER, "true", "column c is not a number"),
        (Type.NUMBER, '"1"', "column c is not a number"),
        (Type.BOOLEAN, "1", "column c is not true or false"),
        (Type.JSON, "{Rosalind", "column c is not JSON"),
    ],
)
def test_a_cell_that_is_not_of_its_type(kind: Type, text: str, problem: str) -> None:
    with pytest.raises(BadCell) as refused:
        Columns(["c"], {"c": Column("a", kind)}).profile([text])
    assert str(refused.value) == problem


@pytest.mark.parametrize(
    ("header", "given", "problem"),
    [
        (["a", "b", "a "], None, "'a' is there twice."),
        (["mail"], {"mial": Column("a")}, "There is no column 'mial'. Did you mean 'mail'?"),
        (["a", "b"], {"a": Column("x.y"), "b": Column("x.y")}, "Two columns lead to x.y."),
        (["x", "x.y"], None, "x is a column, and x.y is within it."),
        (["identityMap", "identityMap.crm"], None, "identityMap is a column, and identityMap.crm is within it."),
        (
            ["segmentMembership.ups.s", "segmentMembership.ups.s.status"],
            None,
            "segmentMembership.ups.s is a column, and segmentMembership.ups.s.status is within it.",
        ),
    ],
)
def test_columns_that_cannot_be(header, given, problem) -> None:
    with pytest.raises(UsageError) as refused:
        Columns(header, given)
    assert problem in refused.value.problems


def test_a_file_of_columns(tmp_path) -> None:
    path = tmp_path / "columns.yaml"
    path.write_text("crm_id: identityMap.crm\npoints: {path: loyalty.points, type: number}\n")
    assert read_columns(str(path)) == {
        "crm_id": Column("identityMap.crm"), "points": Column("loyalty.points", Type.NUMBER),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: {path: x, type: date}", "a: type: Must be one of: text, number, boolean, json."),
        ("a: {type: number}", "a: path: Missing data for required field."),
        ("a: {path: x, typ: number}", "a: typ: Unknown field."),
        ("a: 5", "a: path: must be text; put it in quotes."),
        ("5: a", "5: the name of a column must be text; put it in quotes."),
        ("a: x\nb: y\n'a': z", "line 3: 'a' is given twice, first in line 1. Remove one."),
        ("a: {path: x,\n path: y}", "line 2: 'path' is given twice, first in line 1. Remove one."),
    ],
)
def test_a_file_of_columns_with_problems(tmp_path, text, problem) -> None:
    path = tmp_path / "columns.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_columns(str(path))
    assert refused.value.problems == (problem,)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [", "is not valid YAML"),
        (b"\xff", "is not valid YAML"),
        (b"- a", "names no columns"),
        (b"#" * MOST_BYTES + b"\na: b", "is longer than 1,000,000 bytes"),
        (b"", "names no columns"),
    ],
)
def test_what_is_no_file_of_columns(tmp_path, content, said) -> None:
    path = tmp_path / "columns.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        read_columns(str(path))
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_columns(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("header", "cells", "profile"),
    [
        (["emails[0].address"], ["a"], {"emails": [{"address": "a"}]}),
        (["emails[1].address", "emails[0].address", "emails[0].kind"], ["b", "a", "k"],
         {"emails": [{"address": "a", "kind": "k"}, {"address": "b"}]}),
        (["emails[0].address", "emails[1].address"], ["", "b"], {"emails": [None, {"address": "b"}]}),
        (["grid[1][0]"], ["x"], {"grid": [None, ["x"]]}),
        (["tags[2]", "tags[0]", "tags[1]"], ["", "a", "b"], {"tags": ["a", "b"]}),
        (["tags[0]", "tags[1]", "a"], ["", "", "x"], {"a": "x"}),
        (["props['a.b']", 'props["it\'s"]'], ["1", "2"], {"props": {"a.b": "1", "it's": "2"}}),
        (["segmentMembership['ups']['seg.1']"], ["exited"], {"segmentMembership": {"ups": {"seg.1": {"status": "exited"}}}}),
        (["xdm:identityMap.crm", "xdm:segmentMembership.ups.a", "xdm:person.xdm:name"], ["c", "exited", "Ann"],
         {"identityMap": {"crm": [{"id": "c"}]}, "segmentMembership": {"ups": {"a": {"status": "exited"}}},
          "xdm:person": {"xdm:name": "Ann"}}),
    ],
)  # fmt: skip
def test_a_name_is_a_path_as_a_mapping_has_it(header: list[str], cells: list[str], profile: object) -> None:
    assert Columns(header, None).profile(cells) == profile


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (["emails[100]"], "'emails[100]' has a position above 99."),
        (["a[0]", "a.b"], "a is a list for one column, and an object for a.b."),
        (["tags[0]", "tags[2]"], "tags[2] is a column, and not each position before it is one."),
        (["tags[1].a", "tags[2]"], "tags[2] is a column, and not each position before it is one."),
        (["a['b']", "a.b"], "Two columns lead to a.b."),
        (["a[0]", "a[0].b"], "a[0] is a column, and a[0].b is within it."),
    ],
)
def test_a_name_that_cannot_be_a_place(header: list[str], problem: str) -> None:
    with pytest.raises(UsageError) as told:
        Columns(header, None)
    assert any(problem in text for text in told.value.problems)


@pytest.mark.parametrize("name", ["emails[].address", "Price [EUR]", "emails]", "identityMap.crm]", "[0].a", "a['b'"])
def test_a_name_that_is_no_path_hinders_no_other(name: str) -> None:
    """Nobody reads such a column; where a file of columns names one, it is a mistake."""
    profile = Columns(["identityMap.crm", name], None).profile(["c-1", "x"])
    assert profile == {"identityMap": {"crm": [{"id": "c-1"}]}, name: "x"}
    with pytest.raises(UsageError) as told:
        Columns(["x"], {"x": Column(name)})
    assert f"{name!r} is no path" in told.value.problems[0]


@pytest.mark.parametrize("behind", ["tags[1]", "tags[1].a"])
def test_an_empty_cell_is_no_null_before_others_of_its_list(behind: str) -> None:
    for header, cells in (["tags[0]", behind], ["", "x"]), ([behind, "tags[0]"], ["x", None]):
        with pytest.raises(BadCell, match="is empty, and its list goes on behind it"):
            Columns(header, None).profile(cells)


def test_very_many_columns_cost_no_more_each_than_a_few() -> None:
    def seconds(count: int) -> float:
        names = [f"a{number}.b" for number in range(count)]
        begun = time.process_time()
        Columns(names, None)
        return time.process_time() - begun

    few, many = (min(seconds(count) for _ in range(4)) for count in (4_000, 32_000))
    assert many <= 4 * 8 * few  # with a look at all for each it would be 8 * 8


def test_a_very_deep_name_costs_no_more_for_each_step_than_a_flat_one() -> None:
    def peak_bytes(depth: int) -> int:
        tracemalloc.start()
        Columns([".".join(["a"] * depth)], None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_bytes(2_000) <= 6 * peak_bytes(500)  # with every beginning of it kept it would be 16


def test_only_the_first_of_many_missing_columns_have_a_hint() -> None:
    with pytest.raises(UsageError) as told:
        Columns([f"column{at}" for at in range(30)], {f"colum{at}": Column(f"a{at}") for at in range(30)})
    assert len(told.value.problems) == 30
    assert sum("Did you mean" in text for text in told.value.problems) == MOST_HINTS


def test_a_file_of_columns_with_brackets_without_end(tmp_path) -> None:
    path = tmp_path / "columns.yaml"
    path.write_text("a: " + "[" * 3_000)
    with pytest.raises(UsageError, match="not valid YAML"):
        read_columns(str(path))
