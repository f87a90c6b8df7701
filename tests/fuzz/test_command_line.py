"""Whatever is typed, a command ends with one of the four exit codes, with one message, and without a traceback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli import activation
from app.sealing import make_key
from tests.commands import run_command
from tests.fuzz.cases import MARK, awkward, cases, marked
from tests.fuzz.test_destination_files import TEXT

SERVES = {"demo", "up", "sandbox", "metrics", "intake", "console", "watch"}  # they go on until they are ended
COMMANDS = sorted(set(activation.commands) - SERVES)
# what is written stays in the folder of the test, and nothing waits for a worker
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00/"), max_size=10) | marked.map(
    lambda text: text.replace("/", "").replace("\x00", "")
)
options = st.sampled_from(
    ["--json", "--yes", "--refresh", "--replay", "--discard", "--reveal", "--export", "--details", "--segments", "--hours", "--limit",
     "--backfill", "--force", "--job", "--occurred-at", "--help", "-", "--", "-x", "camp", "camp.yaml", "profiles.jsonl", "nothing",
     "0", "-1", str(2**64), "1e999", "2026-01-01T10:00:00Z", "", " ", "\u202e", "[bold]", "%s", "{}", "~", ".", "..", "*"]
)  # fmt: skip


@pytest.fixture
def _home(monkeypatch: pytest.MonkeyPatch, redis: Any, redis_port: int, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("ACTIVATION_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ACTIVATION_REDIS_URL", f"redis://127.0.0.1:{redis_port}/0")
    monkeypatch.setenv("ACTIVATION_SECRET_KEYS", make_key())
    monkeypatch.setenv("SECRET", "hush-hush-123")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "camp.yaml").write_text(TEXT.replace("mct0", f"mct0{'x' * 80}"))
    (tmp_path / "profiles.jsonl").write_bytes(b'{"a": 1}\n\xff\n[\n' + b"[" * 100_000 + b"\n")


@pytest.mark.usefixtures("_home")
def test_every_line_ends_well() -> None:
    @cases(70, 1_500)
    @given(
        st.sampled_from(COMMANDS) | words,
        st.lists(options | words, max_size=4),
        st.binary(max_size=40) | awkward.map(lambda text: text.encode(errors="surrogatepass")) | st.just(TEXT.encode()),
    )
    def run(command: str, arguments: list[str], stdin: bytes) -> None:
        result = run_command(command, *arguments, stdin=stdin)
        assert result.exit_code in (0, 1, 2, 3)
        assert result.exit_code == 0 or result.stderr.strip()

    run()


@pytest.mark.usefixtures("_home")
@pytest.mark.parametrize(
    "arguments",
    [("pause", b"\xff"), ("connect", b"\xff.yaml"), ("enqueue", "camp", b"\xff"), ("job", b"\xc3\x28"), (b"\xff",)],
)
def test_an_argument_that_is_no_utf_8_is_told_by_its_number(arguments: tuple[str | bytes, ...]) -> None:
    typed = [os.fsdecode(word) for word in arguments]
    result = run_command(*typed)
    place = next(number for number, word in enumerate(arguments, 1) if isinstance(word, bytes))
    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, f"Error: Argument {place} is not text in UTF-8.")


@pytest.mark.usefixtures("_home")
@pytest.mark.parametrize(
    ("name", "reason"),
    [("/dev/zero", "it holds more than 1,000,000 bytes"), (".", "Is a directory"), ("latin", "it is not UTF-8 text")],
)
def test_what_is_no_destination_file_is_told(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"name: caf\xe9")
    result = run_command("connect", name)
    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, f"Error: {name} cannot be read: {reason}.")


@pytest.mark.usefixtures("_home")
@pytest.mark.parametrize("command", ["destinations", "status", "down", "connect"])
def test_a_home_that_is_a_file(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ACTIVATION_REDIS_URL")
    monkeypatch.setenv("ACTIVATION_HOME", str(tmp_path / "camp.yaml"))
    result = run_command(command, *(["camp.yaml"] if command == "connect" else []))
    assert result.exit_code == 2
    assert "camp.yaml is a file." in result.stderr or "a file is in its place" in result.stderr
    assert "ACTIVATION_HOME" in result.stderr
    assert MARK not in result.output
