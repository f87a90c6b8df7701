"""What a program can see of CONTRIBUTING.md's house style."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for package in ("app", "tasks") for path in (ROOT / package).rglob("*.py"))
SCRIPTS = sorted((ROOT / "app").rglob("*.lua"))
MOST_LINES = 350
VAGUE = re.compile(r"(^|_)(utils?|helpers?|manager|common|misc)(_|$)")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_is_small_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MOST_LINES
    assert not VAGUE.search(path.stem)
    assert not text or ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_a_script_says_what_it_takes_and_why_it_may_run_twice(path: Path) -> None:
    for word in ("KEYS", "ARGV", "Reply", "repeat"):
        assert re.search(rf"^-- .*{word}", path.read_text(), re.MULTILINE), word


def test_every_key_is_named_in_one_module() -> None:
    others = [path for path in MODULES if name(path) not in ("app/keys.py", "app/acl.py")]
    assert [name(path) for path in others if re.search(r"[\"']act:", path.read_text())] == []


def test_every_key_is_in_the_table_with_its_type_and_owner() -> None:
    from app import keys

    table = keys.__doc__ or ""
    made = keys.DestinationKeys("{D}"), keys.AccountKeys("{A}"), keys.DestinationKeys("{D}").lane(0)
    for group in made:
        for attribute in dir(type(group)):
            value = getattr(group, attribute) if not attribute.startswith("_") else None
            if isinstance(value, str) and value.startswith("act:") and attribute not in ("base", "everything"):
                plain = value.replace("{{D}}", "{D}").replace("{{A}}", "{A}").replace(":lane:0", ":lane:N")
                assert plain in table, attribute
