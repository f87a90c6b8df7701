"""Which characters a terminal never gets to see."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from app.cli.visible import visible, visible_json

TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(st.text())
def test_no_control_character_is_left_but_the_end_of_a_line(text):
    assert {char for char in visible(text) if unicodedata.category(char) == "Cc"} <= {"\n"}
    assert not {unicodedata.bidirectional(char) for char in visible(text)} & TURNING


@given(st.text(st.characters(categories=("L", "N", "P", "S"))))
def test_other_text_is_shown_as_it_is(text):
    assert visible(text) == text


@given(st.text())
def test_json_stays_the_same_document(text):
    assert json.loads(visible_json(json.dumps({text: text}, ensure_ascii=False))) == {text: text}
