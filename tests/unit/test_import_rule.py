"""Imports run one way; each rule here is one sentence of docs/architecture.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE_WORLD = ("aiohttp", "celery", "http", "kombu", "redis", "requests", "socket", "subprocess", "urllib.request")
CELERY = ("billiard", "celery", "kombu")


@dataclass(frozen=True)
class Import:
    line: int
    module: str
    for_types_only: bool = False
    within_function: bool = False


@dataclass(frozen=True)
class Rule:
    """Modules in `within` but not in `but` import nothing in `never`, except what is in `allowed`."""

    sentence: str
    never: tuple[str, ...]
    within: tuple[str, ...] = ("app", "tasks")
    but: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    types_count: bool = True
    functions_count: bool = True

    def holds_for(self, module: str) -> bool:
        return inside(module, self.within) and not inside(module, self.but)

    def forbids(self, found: Import) -> bool:
        if (found.for_types_only and not self.types_count) or (found.within_function and not self.functions_count):
            return False
        return inside(found.module, self.never) and not inside(found.module, self.allowed)


def modules(root: Path) -> dict[str, Path]:
    """Name -> file of every module of app and tasks."""
    found = {}
    for package in ("app", "tasks"):
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def says_pure(path: Path) -> bool:
    return re.search(r"\bPure\b", ast.get_docstring(ast.parse(path.read_text())) or "") is not None


# a package that says so speaks for all that is in it
PURE = ("app.pacing.place", *(module for module, path in modules(ROOT).items() if says_pure(path)))
NAMED_PURE = (
    "app.mapping", "app.lanes.merge", "app.delivery.plan", "app.delivery.session", "app.delivery.next_wake_up",
    "app.delivery.lead", "app.pacing.pace", "app.pacing.rate", "app.pacing.concurrency",
)  # fmt: skip
PURITY = Rule(
    "Mapping, merging, planning, the session's state, what follows from its end, who leads and the pace are pure.",
    within=PURE,
    never=OUTSIDE_WORLD,
    types_count=False,
)
RULES = (
    PURITY,
    Rule(
        "What is pure reads no clock, no file and no variable, and throws dice in the back-off alone.",
        within=PURE,
        but=("app.backoff",),
        never=("logging", "os", "pathlib", "random", "secrets", "threading", "time"),
        types_count=False,
    ),
    Rule("Nothing in app imports tasks.", within=("app",), never=("tasks",)),
    Rule(
        "requests is used by app.sfmc, the alert channels and single sign-on alone.",
        but=("app.sfmc", "app.reporting.channels", "app.console.single_sign_on"),
        never=("requests",),
    ),
    Rule(
        "Celery is used by tasks, the wake-ups and the look at the broker alone.",
        but=("tasks", "app.wake_ups", "app.broker"),
        never=CELERY,
    ),
    Rule(
        "Starlette and uvicorn are used by the intake, the console and what both are served with alone.",
        but=("app.intake", "app.console", "app.serving"),
        never=("starlette", "uvicorn"),
    ),
    Rule(
        "aiohttp is used by the client and the sandbox alone.", but=("app.sfmc.http", "app.sandbox"), never=("aiohttp",)
    ),
    Rule(
        "The sandbox imports nothing of the pipeline.",
        within=("app.sandbox",),
        never=("app", "tasks"),
        allowed=("app.sandbox",),
    ),
    Rule(
        "The pipeline imports nothing of the sandbox.",
        but=("app.sandbox", "app.devstack.stack", "app.cli"),
        never=("app.sandbox",),
    ),
    Rule("Files are read without Redis.", within=("app.files",), never=OUTSIDE_WORLD, types_count=False),
    Rule("Nobody imports the command line.", but=("app.cli",), never=("app.cli",)),
    Rule(
        "The stack of one machine comes along with the commands alone.",
        but=("app.cli", "app.devstack"),
        never=("app.devstack",),
        allowed=("app.devstack.home",),
        types_count=False,
        functions_count=False,
    ),
)


def inside(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def imports(module: str, path: Path) -> Iterator[Import]:
    """Every import, wherever it stands. `from app import lua` is an import of `app.lua`."""
    tree = ast.parse(path.read_text(), str(path))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    in_functions = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{source}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(node.lineno, name, id(node) in for_types, id(node) in in_functions)


def violations(rule: Rule, root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{found.line} imports {found.module}"
        for module, path in modules(root).items()
        if rule.holds_for(module)
        for found in imports(module, path)
        if rule.forbids(found)
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.sentence)
def test_holds(rule):
    assert not violations(rule, ROOT), rule.sentence


@pytest.mark.parametrize("module", sorted({name for rule in RULES for name in (*rule.within, *rule.but)}))
def test_rules_speak_of_modules_that_exist(module):
    assert module in modules(ROOT)


@pytest.mark.parametrize("module", NAMED_PURE)
def test_what_the_rule_names_says_that_it_is_pure(module):
    assert module in PURE


def leads_to(found: Import, known: dict[str, Path]) -> str | None:
    """`from app.errors import UsageError` leads to app.errors, `from app import lua` to app.lua."""
    return next((name for name in (found.module, found.module.rpartition(".")[0]) if name in known), None)


def detour(ahead: dict[str, set[str]]) -> list[str]:
    """A way from a name back to itself; empty if there is none."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name not in done:
            for following in sorted(ahead.get(name, ())):
                if found := visit(following, [*way, name]):
                    return found
            done.add(name)
        return []

    return next((found for name in sorted(ahead) if (found := visit(name, []))), [])


def folders_ahead(root: Path) -> dict[str, set[str]]:
    """Folder of app -> the folders that its modules import when they run. A module of app itself is in no folder."""
    known = modules(root)
    ahead: dict[str, set[str]] = {}
    for module, path in known.items():
        for found in imports(module, path):
            target = leads_to(found, known)
            if not found.for_types_only and target is not None:
                here, there = (".".join(name.split(".")[:2]) for name in (module, target))
                if here != there and all((root / folder.replace(".", "/")).is_dir() for folder in (here, there)):
                    ahead.setdefault(here, set()).add(there)
    return ahead


def test_no_module_imports_itself_by_a_detour():
    """Not for types either: modules that need each other are one module, or one too few."""
    known = modules(ROOT)
    ahead = {
        module: {
            name
            for found in imports(module, path)
            for name in (found.module, found.module.rpartition(".")[0])
            if name in known and name != module and path.name != "__init__.py" and known[name].name != "__init__.py"
        }
        for module, path in known.items()
    }
    assert " -> ".join(detour(ahead)) == ""


def test_no_folder_imports_itself_by_a_detour():
    assert " -> ".join(detour(folders_ahead(ROOT))) == ""


def test_a_detour_of_folders_is_found(tmp_path):
    """Though no module needs itself, and not by what is imported for types."""
    for name, source in {
        "lanes/refused.py": "from app.reporting.alerts import raise_alert",
        "reporting/alerts.py": "",
        "reporting/runs.py": "from app.lanes import counters",
        "lanes/counters.py": "if TYPE_CHECKING:\n    from app.mapping.update import Reason",
        "mapping/update.py": "from app.lanes.counters import CALLS",
    }.items():
        path = tmp_path / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source + "\n")
    assert detour(folders_ahead(tmp_path)) == ["app.lanes", "app.reporting", "app.lanes"]
    (tmp_path / "app/lanes/refused.py").unlink()
    assert detour(folders_ahead(tmp_path)) == []


def test_what_is_pure_stays_pure_through_what_it_imports():
    known = modules(ROOT)
    for start in (module for module in known if inside(module, PURE)):
        seen, waiting = {start}, [(start,)]
        while waiting:
            way = waiting.pop()
            for found in imports(way[-1], known[way[-1]]):
                if found.for_types_only:
                    continue
                assert not PURITY.forbids(found), f"{' -> '.join(way)} -> {found.module}"
                # `from app.errors import UsageError` leads to app.errors, `from app import lua` to app.lua
                for name in (found.module, found.module.rpartition(".")[0]):
                    if name in known and name not in seen and name != "app":
                        seen.add(name)
                        waiting.append((*way, name))


PLANTED = {
    "Nothing in app imports tasks.": ("app/reporting/runs.py", "def f():\n    from tasks.celery import app"),
    "Mapping, merging, planning, the session's state, what follows from its end, who leads and the pace are pure.": (
        "app/lanes/merge.py",
        "from redis import Redis",
    ),
    "What is pure reads no clock, no file and no variable, and throws dice in the back-off alone.": (
        "app/pacing/pace.py",
        "from time import monotonic",
    ),
    "requests is used by app.sfmc, the alert channels and single sign-on alone.": (
        "app/delivery/wakeup.py",
        "import requests.adapters",
    ),
    "Celery is used by tasks, the wake-ups and the look at the broker alone.": (
        "app/sweep/wake.py",
        "from kombu.exceptions import OperationalError",
    ),
    "Starlette and uvicorn are used by the intake, the console and what both are served with alone.": (
        "app/producer.py",
        "from starlette.routing import Route",
    ),
    "aiohttp is used by the client and the sandbox alone.": (
        "app/reporting/channels.py",
        "from aiohttp import ClientSession",
    ),
    "The sandbox imports nothing of the pipeline.": ("app/sandbox/server.py", "from ..errors import UsageError"),
    "The pipeline imports nothing of the sandbox.": ("app/destinations/preflight.py", "from app import sandbox"),
    "Files are read without Redis.": ("app/files/reading.py", "from redis import Redis"),
    "Nobody imports the command line.": ("app/devstack/stack.py", "if TYPE_CHECKING:\n    from app.cli import main"),
    "The stack of one machine comes along with the commands alone.": (
        "app/producer.py",
        "from app.devstack.running import with_running_stack",
    ),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.sentence)
def test_a_planted_violation_is_found(rule, tmp_path):
    place, source = PLANTED[rule.sentence]
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text("from __future__ import annotations\n\nimport json\n")
    assert violations(rule, tmp_path) == []
    path.write_text(source + "\n")
    assert len(violations(rule, tmp_path)) == 1


def test_what_one_call_needs_may_be_imported_by_it(tmp_path):
    (rule,) = (rule for rule in RULES if not rule.functions_count)
    path = tmp_path / "app" / "producer.py"
    path.parent.mkdir()
    path.write_text("def f():\n    from app.devstack.running import with_running_stack\n")
    assert violations(rule, tmp_path) == []


def test_an_import_for_types_alone_does_not_make_impure(tmp_path):
    path = tmp_path / "app" / "mapping" / "compiled.py"
    path.parent.mkdir(parents=True)
    path.write_text("if TYPE_CHECKING:\n    from redis import Redis\n")
    assert violations(PURITY, tmp_path) == []
