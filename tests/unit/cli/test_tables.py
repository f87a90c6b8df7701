"""Rows on a terminal of eighty columns, and in a pipe: nothing that is a name is ever broken."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from app.cli.tables import plain_lines, table_of

WORDS = st.text("abcdefghij-_.", min_size=1, max_size=40)
ROWS = st.integers(1, 9).flatmap(
    lambda width: st.tuples(
        st.lists(WORDS, min_size=width, max_size=width),
        st.lists(
            st.lists(st.one_of(WORDS, st.integers(0, 10**9), st.lists(WORDS, max_size=30).map(" ".join)),
                     min_size=width, max_size=width),
            max_size=5,
        ),
    )
)  # fmt: skip


def shown(title: str, columns: list[str], rows: list[list[object]], width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, force_terminal=True, color_system=None)
    console.print(table_of(title, columns, rows, width), soft_wrap=False, crop=False)
    return console.file.getvalue()


@given(ROWS)
def test_no_word_is_broken_and_no_line_is_too_long(given_rows):
    columns, rows = given_rows
    text = shown("", columns, rows)
    for row in rows:
        for cell in row:
            for word in (f"{cell:,}" if isinstance(cell, int) else cell).split():
                assert word in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_table_that_fits_is_boxed():
    assert shown("", ["id", "count"], [["camp", 1_000]]).splitlines()[3] == "│ camp │ 1,000 │"


def test_the_hourly_runs_fit_eighty_columns():
    columns = ["hour", "received", "delivered", "unchanged", "superseded", "excluded", "failed", "calls", "rate"]
    lines = shown("", columns, [["11-25 07:00", 10_000, 9_000, 500, 200, 200, 100, 9_100, "99.0%"]]).splitlines()
    assert len(lines) == 2
    assert lines[1].split() == ["11-25", "07:00", "10,000", "9,000", "500", "200", "200", "100", "9,100", "99.0%"]


def test_prose_is_wrapped_between_words():
    lines = shown(
        "", ["code", "why"], [["invalid_email_address", "The address is not one that can be written to. " * 3]]
    ).splitlines()
    assert len(lines) > 2
    assert lines[1].startswith("invalid_email_address The address")


@pytest.mark.parametrize("width", range(70, 110, 5))
def test_the_name_of_a_field_is_not_broken_at_its_spaces(width):
    why = (
        "mapping[12] Email Demographics.Preferred Store Of The Customer: longer than 100 characters, which is the most"
    )
    rows = [["Email Demographics.First Name", why]]
    text = shown("", ["target", "where or why"], rows, width)
    assert "Email Demographics.First Name" in text
    assert "mapping[12] Email Demographics.Preferred Store Of The Customer:" in text


def test_what_does_not_fit_is_shown_row_by_row():
    ids = ["a" * 60, "b" * 60]
    assert shown("Two", ["id", "other"], [ids, ["c", ""]]).splitlines() == [
        "Two", f"id     {'a' * 60}", f"other  {'b' * 60}", "", "id     c",
    ]  # fmt: skip


def test_markup_in_a_row_is_text():
    assert "[bold]x[/]" in shown("", ["id"], [["[bold]x[/]"]])


@pytest.mark.parametrize("title", ["", "Runs"])
def test_in_a_pipe_each_row_is_a_line(title):
    lines = plain_lines(title, ["id", "count"], [["camp", 1_000], ["a longer id", 5]])
    assert lines[bool(title) :] == ["id           count", "camp         1,000", "a longer id  5"]


@pytest.mark.parametrize("width", [80, 20])
def test_what_others_wrote_commands_no_terminal(width):
    evil = "a\x1b]52;c;eA==\x07b\x9b31mc\u202ed"
    spelt = r"a\x1b]52;c;eA==\x07b\x9b31mc\u202ed"
    assert spelt in shown("", ["Marketing Cloud said", "id"], [[evil, "x"]], width)
    assert plain_lines("", ["id"], [[evil]])[1] == spelt
