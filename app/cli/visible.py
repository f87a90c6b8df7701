"""Spells out characters that a terminal would obey: text of profiles and of Marketing Cloud's answers comes from others. Pure."""

from __future__ import annotations

# C0 and C1 except the line end, DEL, and what changes the direction of writing
_ENDS_A_LINE = 0x0A
_CONTROLS = (
    *(code for code in (*range(0x20), *range(0x7F, 0xA0)) if code != _ENDS_A_LINE),
    0x061C,
    0x200E,
    0x200F,
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
)
_SPELT = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS}
_SPELT_IN_JSON = {code: f"\\u{code:04x}" for code in _CONTROLS}


def visible(text: str) -> str:
    r"""Return text with `\xNN` and `\uNNNN` for characters that move the cursor, control the terminal or reverse text."""
    return text.translate(_SPELT)


def visible_json(text: str) -> str:
    """Do the same for JSON, which stays the same document."""
    return text.translate(_SPELT_IN_JSON)
