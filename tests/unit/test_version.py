"""Two builds of one version are told apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app.version import digest_of_code, installed_build


def code(root: Path) -> Path:
    for name, text in (("app/a.py", "a"), ("app/b/c.lua", "c"), ("tasks/d.py", "d"), ("app/b/page.html", "e")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (lambda root: None, False),
        (lambda root: (root / "app/a.py").write_text("b"), True),
        (lambda root: (root / "app/b/c.lua").write_text("d"), True),
        (lambda root: (root / "tasks/d.py").rename(root / "tasks/e.py"), True),
        (lambda root: (root / "app/new.py").touch(), True),
        (lambda root: (root / "app/b/page.html").write_text("f"), False),
        (lambda root: (root / "app/a.cpython-311.pyc").write_text("x"), False),
    ],
    ids=["nothing", "a module", "a script", "a name", "one more", "no code", "bytecode"],
)
def test_a_build_is_known_by_its_code(tmp_path: Path, change: Callable[[Path], object], differs: bool) -> None:
    before = digest_of_code(code(tmp_path / "here"))
    assert digest_of_code(code(tmp_path / "there")) == before, "where it is installed makes no difference"
    change(tmp_path / "there")
    assert (digest_of_code(tmp_path / "there") != before) is differs


def test_this_build_has_a_digest() -> None:
    assert re.fullmatch("[0-9a-f]{8}", installed_build())
