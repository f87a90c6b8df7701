"""Pictures, and the figures behind them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from app.console.charts import burn_up_lines, nice, outcome_columns, shows_allowed, success_picture
from app.console.context import ago, marked, percent
from app.reporting.burn_up import burn_up
from app.reporting.quota import Quota
from app.reporting.runs import OUTCOMES, Run
from app.reporting.sources import sources_of

NONE = "\N{EN DASH}"


def run(hour, **outcomes):
    return Run(hour=hour, received=0, outcomes=dict.fromkeys(OUTCOMES, 0) | outcomes, calls=0, retried=0)


def parsed(picture):
    return ET.fromstring(str(picture))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 1), (1, 1), (3, 3), (9.9, 10), (10, 10), (11, 15), (2_100, 2_500), (740, 800), (901, 1_000)],
)
def test_scales_end_at_round_numbers(value, expected):
    assert nice(value) == expected


def test_pictures_say_what_they_show_and_have_no_style_of_their_own():
    runs = [run(100, delivered=5, failed=1), run(98, excluded=2)]
    year = burn_up({20_500: 7}, datetime(2026, 3, 1, tzinfo=UTC), Quota(7, 100, 40))
    for picture in (success_picture(runs, 100), outcome_columns(runs, 77, 24, unit_hours=1), burn_up_lines(year)):
        tree = parsed(picture)
        assert tree.get("role") == "img"
        assert any(character.isdigit() for character in tree.get("aria-label"))
        assert "style" not in str(picture)
    assert "8 settled, 1 failed" in parsed(success_picture(runs, 100)).get("aria-label")
    assert parsed(success_picture([], 100)).get("aria-label") == "Nothing was settled"


def test_a_column_shows_each_outcome_that_there_was():
    tree = parsed(outcome_columns([run(100, delivered=5, failed=1)], 77, 24, unit_hours=1))
    drawn = [element.get("class") for element in tree.iter() if element.tag.endswith("rect")]
    assert sorted(drawn) == ["delivered", "failed"]


def test_calls_add_up_from_the_first_of_january():
    first = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() // 86_400)
    found = burn_up({first - 1: 1_000, first: 10, first + 2: 5}, datetime(2026, 1, 4, tzinfo=UTC), Quota(16, 100, 50))
    assert found.points == ((0, 0), (1, 10), (2, 10), (3, 15), (4, 16))  # 16: of the second that is not over
    assert (found.used, found.allowed, found.forecast, found.days) == (16, 100, 50, 365)


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, NONE), (1, "100.0 %"), (0.9996, "> 99.9 %"), (0.5, "50.0 %"), (0.0001, "< 0.1 %"), (0, "0.0 %")],
)
def test_shares_are_not_rounded_to_all_or_nothing(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, NONE),
        (0.25, "0.2 s"),
        (42, "42 s"),
        (90, "1 min 30 s"),
        (3_700, "1 h 1 min"),
        (90_000, "1 d 1 h"),
        (900_000, "10 d"),
    ],
)
def test_lengths_of_time(seconds, text):
    assert ago(seconds) == text


def test_sources_are_names_and_types_and_never_values():
    profiles = [
        {"identityMap": {"contactKey": [{"id": "c-1"}]}, "person": {"name": {"firstName": "Ann"}}, "age": 7},
        {
            "person": {"name": {"firstName": "Ben"}},
            "phones": {"+491701234567": True, "4917012345678901": "x"},
            "list": [1],
        },
        "no profile",
    ]
    assert sources_of(profiles) == [
        ("xdm: person.name.firstName", "text", 2), ("xdm: age", "number", 1), ("IdentityMap: contactKey", "identity", 1),
    ]  # fmt: skip


def test_commands_in_a_text_are_code_and_nothing_else_is_markup():
    assert marked("Use `a <b>` & `c`.") == "Use <code>a &lt;b&gt;</code> &amp; <code>c</code>."


@pytest.mark.parametrize(("count", "unit_hours"), [(24, 1), (7, 24), (30, 24)])
def test_times_below_columns_leave_room_for_each_other(count, unit_hours):
    """A narrow screen has them 22 units large, six letters at most."""
    ticks = [
        float(text.get("x"))
        for text in parsed(outcome_columns([], 480_000, count, unit_hours=unit_hours)).iter()
        if text.tag.endswith("text") and text.get("text-anchor") == "middle"
    ]
    assert len(ticks) > 5
    assert min(after - before for before, after in pairwise(ticks)) > 75


@pytest.mark.parametrize(("used", "allowed", "shown"), [(60, 100, True), (7, 2_000_000, False), (0, 100, False)])
def test_the_line_of_what_is_allowed_is_told_only_where_it_is_seen(used, allowed, shown):
    year = burn_up({20_500: used}, datetime(2026, 3, 1, tzinfo=UTC), Quota(used, allowed, used))
    assert shows_allowed(year) is shown
    assert ("limit" in str(burn_up_lines(year))) is shown
