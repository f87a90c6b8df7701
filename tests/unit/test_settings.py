from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backoff import full_jitter
from app.errors import UsageError
from app.settings import OPTIONS, Settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for option in OPTIONS:
        monkeypatch.delenv(option.variable, raising=False)
        monkeypatch.delenv(f"{option.variable}_FILE", raising=False)


def test_defaults() -> None:
    settings = Settings.from_env()
    assert all(getattr(settings, option.field) == option.default for option in OPTIONS)


def test_values_are_read_with_their_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVATION_WORKER_CONCURRENCY", " 7 ")
    monkeypatch.setenv("ACTIVATION_LEASE_SECONDS", "2.5")
    monkeypatch.setenv("ACTIVATION_HOME", "/somewhere")
    settings = Settings.from_env()
    assert (settings.worker_concurrency, settings.lease_seconds, settings.home) == (7, 2.5, Path("/somewhere"))


def test_a_secret_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("one, two\n")
    monkeypatch.setenv("ACTIVATION_SECRET_KEYS_FILE", str(tmp_path / "keys"))
    assert Settings.from_env().keys == ["one", "two"]


def test_every_problem_is_told_at_once_and_the_likely_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVATION_WORKER_CONCURRENCY", "many")
    monkeypatch.setenv("ACTIVATION_LEASE_SECONDS", "-1")
    monkeypatch.setenv("ACTIVATION_REDIS_ULR", "redis://127.0.0.1")
    with pytest.raises(UsageError) as refused:
        Settings.from_env()
    problems = "\n".join(refused.value.problems)
    assert "ACTIVATION_WORKER_CONCURRENCY" in problems
    assert "ACTIVATION_LEASE_SECONDS: must not be negative." in problems
    assert "ACTIVATION_REDIS_ULR: no such setting. Did you mean ACTIVATION_REDIS_URL?" in problems


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", None),
        ("false", None),
        ("true", frozenset()),
        ("sandbox, Other", frozenset({"sandbox", "other"})),
    ],
)
def test_local_hosts(monkeypatch: pytest.MonkeyPatch, text: str, hosts: frozenset[str] | None) -> None:
    monkeypatch.setenv("ACTIVATION_ALLOW_LOCAL_HOSTS", text)
    assert Settings.from_env().local_hosts == hosts


def test_settings_do_not_show_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVATION_SECRET_KEYS", "a-secret-key")
    assert "a-secret-key" not in repr(Settings.from_env())


@given(st.integers(-3, 10_000), st.floats(0.001, 100), st.floats(0.001, 1_000))
def test_back_off_stays_within_its_bounds(attempt: int, base: float, cap: float) -> None:
    delay = full_jitter(attempt, base_seconds=base, cap_seconds=cap)
    assert 0 <= delay <= cap
    if attempt <= 1:
        assert delay <= base
