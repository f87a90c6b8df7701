"""What a program can see of CONTRIBUTING.md's house style."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from app import keys
from app.settings import Settings

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
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_a_script_says_what_it_takes_and_why_it_may_run_twice(path: Path) -> None:
    for word in ("KEYS", "ARGV", "Reply", "repeat"):
        assert re.search(rf"^-- .*{word}", path.read_text(), re.MULTILINE), word


def test_every_key_is_named_in_one_module() -> None:
    others = [path for path in MODULES if name(path) not in ("app/keys.py", "app/acl.py")]
    assert [name(path) for path in others if re.search(r"[\"']act:", path.read_text())] == []


COLUMNS = ("key", "type", "owners", "life", "meaning")
PLACES = {
    "source": "NAME", "digest": "DIGEST", "chunk_id": "ID", "job_id": "ID", "window": "WINDOW", "hour": "HOUR",
    "client": "CLIENT", "holdings": "H",
}  # fmt: skip


def key_table(text: str) -> list[dict[str, str]]:
    """The rows between the second and the third rule; each column is as wide as its part of the rule."""
    lines = text.splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("====")]
    starts = [part.start() for part in re.finditer("=+", lines[rules[0]])]
    spans = list(zip(starts, [*starts[1:], None], strict=True))
    rows = [[line[start:end].strip() for start, end in spans] for line in lines[rules[1] + 1 : rules[2]]]
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def made_keys() -> set[str]:
    """Every key that app.keys makes, with the words of the table for what is put into it."""
    found = {value for name, value in vars(keys).items() if name.isupper() and str(value).startswith("act:")}
    places = keys.DestinationKeys("D"), keys.AccountKeys("A"), keys.LaneKeys("act:{D}:lane:N")
    named = [getattr(group, name) for group in places for name in dir(type(group)) if not name.startswith("_")]
    for value in (*named, *(value for value in vars(keys).values() if inspect.isfunction(value))):
        if isinstance(value, str):
            found.add(value)
        elif inspect.isroutine(value) and (word := next(iter(inspect.signature(value).parameters))) in PLACES:
            found.add(value(PLACES[word]))
    bases = {keys.ALERTS, "act:{D}", "act:{D}:*", "act:{A}", "act:{D}:lane:N"}
    return {key for key in found if key.startswith("act:")} - bases


KEYS = key_table(keys.__doc__ or "")


def wrong(row: dict[str, str]) -> list[str]:
    settings = {f"ACTIVATION_{option.name.upper()}" for option in fields(Settings)}
    owners = [ROOT / "app" / owner.replace(".", "/") for owner in row["owners"].split(", ") if owner]
    return [
        *([] if row["type"] in ("string", "hash", "set", "zset", "list", "stream") else ["type"]),
        *([] if owners and all(it.is_dir() or it.with_suffix(".py").is_file() for it in owners) else ["owners"]),
        *([] if row["life"] else ["life"]),
        *(
            name
            for name in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", f"{row['life']} {row['meaning']}")
            if name not in settings and not hasattr(keys, name)
        ),
    ]


def test_every_key_is_in_the_table_and_no_other() -> None:
    assert sorted(row["key"] for row in KEYS) == sorted(made_keys())


@pytest.mark.parametrize("row", KEYS, ids=lambda row: row["key"])
def test_a_key_has_a_type_of_redis_an_owner_that_exists_and_a_life(row: dict[str, str]) -> None:
    assert wrong(row) == []


@pytest.mark.parametrize(
    ("changed", "what"),
    [({"type": "number"}, "type"), ({"owners": "nobody"}, "owners"), ({"owners": ""}, "owners"), ({"life": ""}, "life"),
     ({"life": "RUN_LIFE"}, "RUN_LIFE"), ({"life": "ACTIVATION_LIFE_SECONDS"}, "ACTIVATION_LIFE_SECONDS")],
)  # fmt: skip
def test_a_wrong_row_is_found(changed: dict[str, str], what: str) -> None:
    assert wrong({**KEYS[0], **changed}) == [what]
