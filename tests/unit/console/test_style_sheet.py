from __future__ import annotations

import re
from pathlib import Path

SHEET = Path(__file__).parents[3] / "app" / "console" / "static" / "console.css"


def test_the_dark_style_sheet_changes_nothing_but_colours() -> None:
    """Why a page that has no other finding of axe in the light is looked at for its colours only in the dark."""
    text = SHEET.read_text()
    [dark] = re.findall(r"@media \(prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}\s*\}", text, re.DOTALL)
    assert text.count("prefers-color-scheme") == 1
    rules = [rule.strip() for rule in dark.split(";") if rule.strip()]
    assert len(rules) > 10
    assert [rule for rule in rules if not re.fullmatch(r"--[a-z-]+: #[0-9a-f]{3}(?:[0-9a-f]{3})?", rule)] == []
