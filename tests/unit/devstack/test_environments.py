"""What each child of a stack is told: what it needs, and no secret besides."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from app.devstack.stack import Stack, environment
from app.sealing import make_key
from app.settings import PREFIX, Settings

REDIS = "redis://:of-the-state@redis.test:6379/0"
BROKER = "amqp://user:of-the-broker@broker.test//"
ALERTS = {
    "alert_url": "https://ops.test/of-the-webhook",
    "alert_secret": "of-the-signature",
    "alert_slack_url": "https://hooks.test/of-slack",
    "alert_email_to": "ann@ops.test",
    "smtp_url": "smtp://user:of-the-mail@mail.test:587",
}
SIGN_ON = "console_oidc_client_secret"
CHILDREN = ("worker-1", "maintenance", "beat", "flower", "intake", "console", "sandbox")


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """All that is secret is set, as the environment of `activation up` has it."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    secrets = {"redis_url": REDIS, "broker_url": BROKER, "secret_keys": make_key(), SIGN_ON: "of-the-sign-on", **ALERTS}
    for name, value in secrets.items():
        monkeypatch.setenv(f"{PREFIX}{name.upper()}", value)
    monkeypatch.setenv(f"{PREFIX}HOME", str(tmp_path))
    return Settings.from_env()


def read(environ: dict[str, str]) -> Settings:
    """As the child reads it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            patch.delenv(name)
        for name, value in environ.items():
            patch.setenv(name, value)
        return Settings.from_env()


@pytest.mark.parametrize("name", ["beat", "flower"])
def test_the_redis_that_is_named_is_the_broker_where_none_is(settings: Settings, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(f"{PREFIX}BROKER_URL")
        filled = Stack(replace(settings, broker_url="")).start_redis()
        told = read(environment(filled, name))
    assert (told.celery_broker_url, told.redis_url) == (REDIS, "")


@pytest.mark.parametrize(
    ("secret", "needed_by"),
    [
        ("redis_url", {"worker-1", "maintenance", "intake", "console"}),
        ("secret_keys", {"worker-1", "maintenance", "intake", "console"}),
        ("broker_url", {*CHILDREN} - {"sandbox"}),
        (SIGN_ON, {"console"}),
        *((name, {"worker-1", "maintenance", "console"}) for name in ALERTS),
    ],
)
def test_a_secret_is_told_to_those_that_need_it(settings: Settings, secret: str, needed_by: set[str]) -> None:
    told = {name for name in CHILDREN if getattr(read(environment(settings, name)), secret)}
    assert told == needed_by


def test_the_keys_of_the_intake_open_no_account(settings: Settings) -> None:
    assert read(environment(settings, "intake")).secret_keys != settings.secret_keys


def test_the_file_of_a_secret_is_not_named_either(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("of-the-sign-on")
    monkeypatch.delenv(f"{PREFIX}{SIGN_ON.upper()}")
    monkeypatch.setenv(f"{PREFIX}{SIGN_ON.upper()}_FILE", str(tmp_path / "secret"))
    assert f"{PREFIX}{SIGN_ON.upper()}_FILE" not in environment(settings, "worker-1")
